"""What a training shows: lines and bars, TensorBoard events, pictures of its errors."""
