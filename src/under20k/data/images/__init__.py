"""From any picture to digits as MNIST has them: 28×28, uint8, light ink on a dark background."""
