package memory

// InWords is inWords, for tests.
var InWords = inWords
