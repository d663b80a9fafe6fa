package kernel

// NonEmpty returns a pointer to the text, or nil if it is empty.
func NonEmpty(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
