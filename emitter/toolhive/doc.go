// Package toolhive reads the audit lines of ToolHive
// (https://github.com/stacklok/toolhive, pkg/audit) as events.
//
// Nothing that a line says is lost, save session ids, of which a digest is
// kept, and secrets, which are taken out as they are of what is observed here:
// what no field of the event holds exactly stands in data.original under its own
// name.
//
// What such a line cannot tell, the event cannot tell either. metadata.extra.origin
// is "toolhive" in each, and that means:
//
//   - success is what the HTTP status and the first 512 bytes of the answer
//     looked like. A tool that ran and answered isError, a longer JSON-RPC error,
//     a cancelled call and a composite tool that failed all stand there as
//     success; the first two are found out only where ToolHive recorded the whole
//     answer, and then "success" stands in data.original.
//   - source.value is the first address of X-Forwarded-For, which any client can
//     write.
//   - The identity is the one that ToolHive had; how it was proved is not said.
package toolhive
