"""Numbers as the report prints them."""


def signed(value: float) -> str:
    """Two decimals and a sign, but what is printed as 0 has none."""
    text = f"{value:+.2f}"
    return text.replace("-", "−") if float(text) else "0.00"
