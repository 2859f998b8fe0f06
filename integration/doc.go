// Package integration tests vmcp-audit end to end against MCP clients and
// servers that other people wrote. It has tests only, and a module of its own,
// with the command spoolbench, so that what they depend on is nobody's dependency.
//
// The clients' side is recorded under their SDKs, where the bytes leave and
// arrive: view_test.go says what the client saw, expect_test.go what the trail
// must therefore say, compare_test.go where the two differ.
package integration
