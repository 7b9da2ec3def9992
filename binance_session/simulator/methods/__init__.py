"""What each method answers; one file for each part of the documents."""
