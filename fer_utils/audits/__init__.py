"""What is odd in the data: copies, blanks, doubtful labels."""
