package config_test

import (
	"fmt"

	"github.com/vmcp-audit/vmcp-audit/emitter/config"
)

func ExampleLoad() {
	_, _, err := config.Load([]string{"VMCP_AUDIT_LOG_LEVEL=loud", "VMCP_AUDIT_FIEL_PATH=audit.jsonl"}, config.LoadOptions{})
	fmt.Println(err)
	// Output:
	// VMCP_AUDIT_FIEL_PATH: is not known, did you mean VMCP_AUDIT_FILE_PATH?
	// VMCP_AUDIT_LOG_LEVEL: "loud" is not one of the allowed words; allowed: debug, info, warn, error; example: VMCP_AUDIT_LOG_LEVEL=debug
}
