// tax.c in Go, as the library's tax plugins are made: its templates by os.ReadFile, its failures in the output and the code.
package main

import (
	"encoding/json"
	"os"

	"github.com/extism/go-pdk"
)

func fail(err error) int32 {
	text, _ := json.Marshal(map[string]any{"result": false, "error": err.Error()})
	pdk.Output(text)
	return 1
}

//go:wasmexport meta
func meta() int32 {
	pdk.OutputString(`{"pluginId":"tax-go","name":"Tax Go","appId":"plusev_taxes","version":"v1.0.0","category":"Import",` +
		`"resources":{"fsWriteAccess":{"templates":"/templates"}}}`)
	return 0
}

//go:wasmexport init
func start() int32 { return 0 }

//go:wasmexport handle_command
func handleCommand() int32 {
	pdk.OutputString(`{"result":false,"error":"unknown command"}`)
	return 1
}

//go:wasmexport export_entries_excel
func exportEntriesExcel() int32 {
	var in struct{ Template, Save string }
	if err := json.Unmarshal(pdk.Input(), &in); err != nil {
		return fail(err)
	}
	sheet, err := os.ReadFile("/templates/" + in.Template)
	if err != nil {
		return fail(err)
	}
	sheet = append([]byte("PK\x03\x04\x00\xff"), sheet...)
	if in.Save != "" {
		if err := os.WriteFile("/templates/"+in.Save, sheet, 0o600); err != nil {
			return fail(err)
		}
	}
	pdk.Output(sheet)
	return 0
}

func main() {}
