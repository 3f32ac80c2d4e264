"""What a budget buys: bytes and loss of what each kernel may become, and the choice among them."""
