package config

// maxCompared is the longest name, in bytes, that is compared with others.
const maxCompared = 64

// Nearest returns the candidate that name was probably meant to be, the first
// of several. It is empty if none is near: at most a third of the name's
// bytes and no more than three may have to be added, left out, changed or
// swapped with their neighbour.
func Nearest(name string, candidates []string) string {
	if len(name) > maxCompared {
		return ""
	}
	best, least := "", min(max(len(name)/3, 1), 3)+1
	for _, c := range candidates {
		if d := distance(name, c); d < least {
			best, least = c, d
		}
	}
	return best
}

// distance returns the optimal string alignment distance of a and b in bytes.
func distance(a, b string) int {
	var before, above []int // the rows for a[:i-2] and a[:i-1]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, above, row = above, row, make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := above[j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			row[j] = min(above[j]+1, row[j-1]+1, change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return row[len(b)]
}
