// Package admin holds the acts that destroy or resend what lies in a spool: a
// cursor is forgotten or set back, dead letters are deleted or sent again. Each
// leaves two audit_admin events in the chain of that spool: what is to be done and
// by whom, on disk before anything is, with the outcome pending; and how it ended.
//
// An act needs the spool for itself, and to be done by the user that owns its
// folder: what is written would not be that user's otherwise.
package admin
