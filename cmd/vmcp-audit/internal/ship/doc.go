// Package ship reads audit lines that exist already, of this project or of
// ToolHive, and stores them in a spool.
//
// Each batch of lines is stored together with the position behind it, so that a
// process that is killed neither loses nor doubles a line of a file. A file is
// known by its inode and by a digest of its first bytes: it is found again under
// the name that a rotation gave it, compressed with gzip, or as the copy that
// copytruncate made. When there is no room in the spool, reading waits.
//
// What cannot be stored is kept aside in the spool's folder with its place and
// the reason, and what cannot be read any more is told by an audit_loss event.
// Not guaranteed: lines that were written between the copy and the cut of
// copytruncate, files that came and went while nobody looked and left no name
// like NAME.1 or NAME-20260131.gz, and standard input, which nobody can read
// twice.
package ship
