"""What every stream service shares below its protocol."""
