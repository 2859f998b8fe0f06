// Package jsonscan picks a few values out of one JSON text that arrives in
// pieces, without keeping the text.
//
// A [Node] tree says which members are wanted. A [Scanner] is fed by Write
// with pieces of any size and holds, whatever the length of the text, no more
// than the wanted scalars up to their bounds, one key, and one bit for each
// level of nesting. It accepts what encoding/json accepts, to the same depth,
// with the one difference that the text must be an object or an array.
package jsonscan

// MaxDepth is the nesting that a scanner follows; deeper text is invalid, as
// it is for encoding/json.
const MaxDepth = 10000

const (
	maxKey  = 256 // bytes of a key as written, escapes included; longer keys are never wanted
	maxPath = 8   // levels of a Node tree
)

// Node is one wanted member. The root node stands for the text itself.
type Node struct {
	Key     string
	Field   int     // slot of the value in the scanner; unique in one tree
	Max     int     // bytes kept of a string or number, as written in JSON
	Members []*Node // wanted members, at most 64, if the value is an object
}

// Kind is the kind of a JSON value.
type Kind uint8

// The kinds; the zero value says that there was no such member.
const (
	None Kind = iota
	Null
	False
	True
	Number
	String
	Object
	Array
)

// Mode says how keys are matched and what a repeated key means.
type Mode uint8

const (
	// Exact matches keys to the letter; a repeated member replaces the earlier
	// one with all that was in it, as a map would.
	Exact Mode = iota
	// Struct does as encoding/json with a Go struct: case is folded, members
	// of a repeated object are merged, a null leaves what was there.
	Struct
)
