"""Dead letters: seen, and what an operator does with them."""
