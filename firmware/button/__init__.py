"""The reset button: what a short and a long press mean."""
