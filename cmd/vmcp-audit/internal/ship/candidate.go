package ship

import (
	"cmp"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// candidate is a file that is to be read, or may be a generation of one.
type candidate struct {
	path    string
	family  string // path that it is a generation of, or its own
	named   bool   // the user's patterns name it
	id      fileID
	size    int64
	changed time.Time
	claimed bool // a position stands for it

	begin []byte // its first bytes, uncompressed; nil: not looked at yet
	fault error  // why they could not be read
	moved bool   // another file has its name by now
}

func (c *candidate) compressed() bool { return strings.HasSuffix(c.path, ".gz") }

// head returns the first bytes of the file, none if it cannot be read.
func (c *candidate) head() []byte {
	if c.begin == nil {
		c.begin = []byte{}
		var f *os.File
		if f, c.fault = c.open(); c.fault == nil {
			c.begin, c.fault = headOf(f, c.compressed())
			_ = f.Close() // it was only read
		}
	}
	return c.begin
}

var errMoved = errors.New("the file was renamed meanwhile")

// open opens the file, if its name is still its own.
func (c *candidate) open() (*os.File, error) {
	f, err := os.Open(c.path)
	if err != nil {
		c.moved = true
		return nil, err
	}
	if info, err := f.Stat(); err != nil || idOf(info, c.path) != c.id {
		c.moved = true
		_ = f.Close() // it was only opened
		return nil, errMoved
	}
	return f, nil
}

// headOf returns the first bytes; an error is why there are not more of them.
func headOf(r io.Reader, compressed bool) ([]byte, error) {
	if compressed {
		z, err := gzip.NewReader(r)
		if err != nil {
			return []byte{}, err
		}
		r = z
	}
	return io.ReadAll(io.LimitReader(r, headSize))
}

// holds reports whether the file is the one of which p tells how far it was
// read.
func (c *candidate) holds(p *position) bool {
	return (c.compressed() || c.size >= p.Offset) && p.begins(c.head())
}

// generationName is what the names of rotated files have behind that of the
// file: NAME.1, NAME.2.gz, NAME-20260131, NAME-20260131-1200.gz, NAME.2026-01-31.
var generationName = regexp.MustCompile(`^[.-][0-9][0-9T._:-]*(\.gz)?$`)

// isGeneration reports whether name is one that a rotation of the file base
// gives; lumberjack puts the time in front of the suffix: audit-TIME.log.
func isGeneration(base, name string) bool {
	if rest, ok := strings.CutPrefix(name, base); ok && generationName.MatchString(rest) {
		return true
	}
	suffix := filepath.Ext(base)
	rest, ok := strings.CutPrefix(name, strings.TrimSuffix(base, suffix))
	rest, zipped := strings.CutSuffix(rest, ".gz")
	rest, cut := strings.CutSuffix(rest, suffix)
	return ok && cut && suffix != "" && generationName.MatchString(rest) && (zipped || name != base)
}

// expand returns the paths that the patterns name; a pattern without * ? [ names
// one, whether it is there or not.
func expand(patterns []string) ([]string, error) {
	var paths []string
	for _, p := range patterns {
		if !strings.ContainsAny(p, "*?[") {
			paths = append(paths, filepath.Clean(p))
			continue
		}
		found, err := filepath.Glob(p)
		if err != nil {
			return nil, err
		}
		paths = append(paths, found...)
	}
	slices.Sort(paths)
	return slices.Compact(paths), nil
}

// candidates returns the files at paths and their generations: of each family
// the one that was changed longest ago first, and the one that has its name last.
func candidates(paths []string) []*candidate {
	var list []*candidate
	folders := map[string][]fs.DirEntry{}
	for _, path := range paths {
		dir, base := filepath.Split(path)
		if dir == "" {
			dir = "."
		}
		entries, ok := folders[dir]
		if !ok {
			entries, _ = os.ReadDir(dir) // a folder that is not there yet has no files
			folders[dir] = entries
		}
		for _, e := range entries {
			if e.Name() == base || isGeneration(base, e.Name()) {
				list = appendCandidate(list, filepath.Join(dir, e.Name()), path, paths)
			}
		}
	}
	slices.SortStableFunc(list, func(a, b *candidate) int {
		last := func(c *candidate) int {
			if c.path == c.family {
				return 1
			}
			return 0
		}
		return cmp.Or(cmp.Compare(a.family, b.family), cmp.Compare(last(a), last(b)), a.changed.Compare(b.changed), -strings.Compare(a.path, b.path))
	})
	return list
}

// appendCandidate adds the file at path, once: as a generation of the shortest
// name.
func appendCandidate(list []*candidate, path, family string, paths []string) []*candidate {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return list
	}
	for _, c := range list {
		if c.path == path || c.id == idOf(info, path) {
			if len(family) < len(c.family) {
				c.family = family
			}
			return list
		}
	}
	_, named := slices.BinarySearch(paths, path)
	return append(list, &candidate{
		path: path, family: family, named: named, id: idOf(info, path), size: info.Size(), changed: info.ModTime(),
	})
}

// sameFiles reports whether two lists name the same files, by path and identity.
func sameFiles(a, b []*candidate) bool {
	return slices.EqualFunc(a, b, func(a, b *candidate) bool { return a.path == b.path && a.id == b.id })
}

// byID returns the unclaimed file with the identity of p, which is nil if there
// is none.
func byID(list []*candidate, p *position) *candidate {
	for _, c := range list {
		if !c.claimed && c.id == p.File {
			return c
		}
	}
	return nil
}

// byHead returns the unclaimed file that goes on where p ends, under another
// identity: the copy that was made of it, compressed or not.
func byHead(list []*candidate, p *position) *candidate {
	if !p.sure() {
		return nil
	}
	for _, compressed := range []bool{false, true} {
		for _, c := range list {
			if !c.claimed && c.compressed() == compressed && c.holds(p) {
				return c
			}
		}
	}
	return nil
}
