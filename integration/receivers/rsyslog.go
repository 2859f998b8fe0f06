package receivers

import (
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
)

// rsyslogJSON is one line for each message. jsonf escapes all that JSON asks for.
const rsyslogJSON = `template(name="json" type="list") {
  constant(value="{")
  property(outname="msg" name="msg" format="jsonf") constant(value=",")
  property(outname="raw" name="rawmsg" format="jsonf") constant(value=",")
  property(outname="time" name="timereported" dateFormat="rfc3339" format="jsonf") constant(value=",")
  property(outname="facility" name="syslogfacility" format="jsonf") constant(value=",")
  property(outname="severity" name="syslogseverity" format="jsonf") constant(value=",")
  property(outname="host" name="hostname" format="jsonf") constant(value=",")
  property(outname="app" name="app-name" format="jsonf") constant(value=",")
  property(outname="procid" name="procid" format="jsonf") constant(value=",")
  property(outname="msgid" name="msgid" format="jsonf") constant(value=",")
  property(outname="sd" name="structured-data" format="jsonf")
  constant(value=",\"rsyslog\":") property(name="$!all-json") constant(value="}\n")
}
`

// rsyslogConfig is the configuration of a run that writes to dir.
func rsyslogConfig(opt Options, addr, dir string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "global(workDirectory=%q)\n%s\n", dir, opt.Global)
	b.WriteString(rsyslogInput(opt, addr))
	b.WriteString("module(load=\"mmpstrucdata\")\n" + rsyslogJSON)
	b.WriteString("action(type=\"mmpstrucdata\" sd_name.lowercase=\"off\")\n")
	fmt.Fprintf(&b, "action(type=\"omfile\" file=%q template=\"json\")\n", filepath.Join(dir, jsonFile))
	if opt.Plain {
		fmt.Fprintf(&b, "action(type=\"omfile\" file=%q)\n", filepath.Join(dir, plainFile))
	}
	return b.String()
}

func rsyslogInput(opt Options, addr string) string {
	if opt.Transport == Unixgram {
		return fmt.Sprintf("module(load=\"imuxsock\" SysSock.Use=\"off\" %s)\ninput(type=\"imuxsock\" Socket=%q)\n", opt.Source, addr)
	}
	module, driver, global := "imtcp", "", ""
	switch opt.Transport {
	case UDP:
		module = "imudp"
	case TLS:
		driver = `StreamDriver.Name="gtls" StreamDriver.Mode="1" ` + rsyslogPeers(opt.TLS)
		global = fmt.Sprintf("global(DefaultNetstreamDriverCertFile=%q DefaultNetstreamDriverKeyFile=%q)\n",
			opt.TLS.Cert.CertFile, opt.TLS.Cert.KeyFile)
		if opt.TLS.ClientCA != "" {
			global += fmt.Sprintf("global(DefaultNetstreamDriverCAFile=%q)\n", opt.TLS.ClientCA)
		}
	default: // TCP
	}
	host, port, _ := net.SplitHostPort(addr) // it is ours
	return global + fmt.Sprintf("module(load=%q %s %s)\ninput(type=%q address=%q port=%q)\n", module, driver, opt.Source, module, host, port)
}

func rsyslogPeers(opt TLSOptions) string {
	switch {
	case opt.ClientCA == "":
		return `StreamDriver.AuthMode="anon"`
	case len(opt.Peers) == 0:
		return `StreamDriver.AuthMode="x509/certvalid"`
	}
	quoted := make([]string, len(opt.Peers))
	for i, p := range opt.Peers {
		quoted[i] = strconv.Quote(p)
	}
	return fmt.Sprintf(`StreamDriver.AuthMode="x509/name" PermittedPeer=[%s]`, strings.Join(quoted, ","))
}
