"""What scoring measures of the leaked model at the victims' images, whatever an attack made of them."""
