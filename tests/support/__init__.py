"""What tests of several folders share: small studies, images, networks, strategies."""
