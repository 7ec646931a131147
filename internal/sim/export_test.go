package sim

// Reaches is reaches, for tests.
func (a *Account) Reaches(instanceID, service string) (bool, string) {
	return a.reaches(instanceID, service)
}
