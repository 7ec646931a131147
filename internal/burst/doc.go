// Package burst measures what becomes of many findings at once: the real steps,
// built on the real SDK clients as in production, and the state machine with its
// retries, in virtual time, against EC2's documented token buckets. It is tests
// only; make bench-burst prints what they measure.
package burst
