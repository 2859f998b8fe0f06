package jsonscan

func (s *Scanner) beginNumber(c byte) {
	var next state
	switch {
	case c == '-':
		next = inMinus
	case c == '0':
		next = inZero
	case isDigit(c):
		next = inInt
	default:
		s.state = failed
		return
	}
	s.beginScalar(Number, next)
	s.keep([]byte{c})
}

// number takes the next byte of a number; false: the byte is not part of it.
func (s *Scanner) number(c byte) bool {
	next := failed
	switch s.state {
	case inMinus:
		next = either(c == '0', inZero, digits(c, inInt))
	case inZero:
		next = fraction(c)
	case inInt:
		next = either(isDigit(c), inInt, fraction(c))
	case inDot:
		next = digits(c, inFrac)
	case inFrac:
		next = either(isDigit(c), inFrac, exponent(c))
	case inE:
		next = either(c == '+' || c == '-', inSign, digits(c, inExp))
	case inSign:
		next = digits(c, inExp)
	case inExp:
		next = either(isDigit(c), inExp, afterValue)
	default:
	}
	if next == afterValue {
		s.endScalar()
		return false
	}
	s.state = next
	s.keep([]byte{c})
	return true
}

func fraction(c byte) state { return either(c == '.', inDot, exponent(c)) }

func exponent(c byte) state { return either(c == 'e' || c == 'E', inE, afterValue) }

func digits(c byte, next state) state { return either(isDigit(c), next, failed) }

func either(ok bool, a, b state) state {
	if ok {
		return a
	}
	return b
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isHex(c byte) bool {
	return isDigit(c) || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}
