package receivers

import (
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
)

// syslogNGJSON is one line for each message.
const syslogNGJSON = `"$(format-json msg=\"$MSG\" raw=\"$RAWMSG\" time=\"$S_ISODATE\" facility=\"$FACILITY_NUM\"` +
	` severity=\"$LEVEL_NUM\" host=\"$HOST\" app=\"$PROGRAM\" procid=\"$PID\" msgid=\"$MSGID\" sd=\"$SDATA\" --key .SDATA.*)\n"`

// syslogNGConfig is the configuration of a run that writes to dir.
func syslogNGConfig(opt Options, addr, dir string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "@version: 3.38\noptions { keep-hostname(yes); };\n%s\n", opt.Global)
	fmt.Fprintf(&b, "source s { %s };\n", syslogNGSource(opt, addr))
	fmt.Fprintf(&b, "destination json { file(%q template(%s) frac-digits(6)); };\n", filepath.Join(dir, jsonFile), syslogNGJSON)
	b.WriteString("log { source(s); destination(json); flags(flow-control); };\n")
	if opt.Plain {
		fmt.Fprintf(&b, "destination plain { file(%q); };\nlog { source(s); destination(plain); flags(flow-control); };\n", filepath.Join(dir, plainFile))
	}
	return b.String()
}

func syslogNGSource(opt Options, addr string) string {
	driver, flags := "syslog", "store-raw-message"
	lines := opt.Framing == LF || opt.Transport == Unix || opt.Transport == Unixgram
	switch {
	case opt.BSD:
		driver = "network"
	case lines:
		driver, flags = "network", flags+",syslog-protocol"
	}
	var where string
	switch opt.Transport {
	case Unix, Unixgram:
		driver, where = string(opt.Transport), strconv.Quote(addr)
	case TLS:
		where = fmt.Sprintf(" tls(cert-file(%q) key-file(%q)%s)", opt.TLS.Cert.CertFile, opt.TLS.Cert.KeyFile, syslogNGPeers(opt.TLS))
		fallthrough
	default:
		host, port, _ := net.SplitHostPort(addr) // it is ours
		where = fmt.Sprintf("ip(%s) port(%s) transport(%s)", host, port, opt.Transport) + where
	}
	return fmt.Sprintf("%s(%s flags(%s) %s);", driver, where, flags, opt.Source)
}

func syslogNGPeers(opt TLSOptions) string {
	if opt.ClientCA == "" {
		return " peer-verify(optional-untrusted)"
	}
	s := fmt.Sprintf(" peer-verify(required-trusted) ca-file(%q)", opt.ClientCA)
	if len(opt.Peers) == 0 {
		return s
	}
	names := make([]string, len(opt.Peers))
	for i, p := range opt.Peers {
		names[i] = strconv.Quote("*CN=" + p)
	}
	return s + " trusted-dn(" + strings.Join(names, ", ") + ")"
}
