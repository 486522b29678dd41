// A plugin of generation 3 in Go, as the current library makes them: frames as base64, nothing in error_set,
// failures in the output and the code. It echoes frames as records; the frame "panic" panics.
package main

import (
	"encoding/json"

	"github.com/extism/go-pdk"
)

type command struct {
	Name   string         `json:"name"`
	Params map[string]any `json:"params"`
}

type message struct {
	StreamID      string         `json:"streamId"`
	Message       []byte         `json:"message"`
	MessageType   string         `json:"messageType"`
	StreamContext map[string]any `json:"streamContext"`
}

type verdict struct {
	Success  bool   `json:"success"`
	Action   string `json:"action"`
	DataType string `json:"dataType,omitempty"`
	Data     any    `json:"data,omitempty"`
	Error    string `json:"error,omitempty"`
}

var config map[string]any

func output(v any) {
	text, _ := json.Marshal(v)
	pdk.Output(text)
}

//go:wasmexport meta
func meta() int32 {
	pdk.OutputString(`{"pluginId":"push-go","name":"Push Go","appId":"datasrc","version":"v1.0.0","category":"cex",` +
		`"resources":{"allowedNetworkTargets":[{"pattern":"wss://wss.woox.io/*"}]},"features":["rawStream","getMarkets"]}`)
	return 0
}

//go:wasmexport get_configuration_fields
func fields() int32 {
	pdk.OutputString(`[{"name":"depth","label":"Depth of the book","type":"number","required":true,"options":{"min":1}}]`)
	return 0
}

//go:wasmexport get_rate_limits
func limits() int32 {
	pdk.OutputString("null")
	return 0
}

//go:wasmexport init
func start() int32 {
	if json.Unmarshal(pdk.Input(), &config) != nil {
		return 1
	}
	return 0
}

//go:wasmexport handle_command
func handleCommand() int32 {
	var c command
	if json.Unmarshal(pdk.Input(), &c) != nil || config == nil {
		panic("no client")
	}
	switch c.Name {
	case "getMarkets":
		var none []string
		output(map[string]any{"result": true, "data": none, "cacheForSeconds": 43200})
		return 0
	case "rawStream":
		market := c.Params["market"].(map[string]any)
		output(map[string]any{"result": true, "responseType": "StreamMarker", "data": map[string]any{
			"_stream": true, "streamID": "go_stream", "websocketUrl": "wss://wss.woox.io/v3/public",
			"initialMessages": []string{`{"sub":"` + market["symbol"].(string) + `"}`},
			"streamContext":   map[string]any{"symbol": market["symbol"]},
		}})
		return 0
	}
	output(map[string]any{"result": false, "error": "unknown command: " + c.Name})
	return 1
}

//go:wasmexport handle_stream_message
func handleStreamMessage() int32 {
	var m message
	if err := json.Unmarshal(pdk.Input(), &m); err != nil {
		output(verdict{Action: "ignore", Error: "failed to parse stream message request: " + err.Error()})
		return 1
	}
	if m.StreamContext == nil {
		output(verdict{Success: true, Action: "ignore"})
		return 0
	}
	if string(m.Message) == "panic" {
		panic("at the third frame")
	}
	output(verdict{Success: true, Action: "data", DataType: "raw",
		Data: map[string]any{"frame": string(m.Message), "symbol": m.StreamContext["symbol"], "depth": config["depth"]}})
	return 0
}

//go:wasmexport handle_connection_event
func handleConnectionEvent() int32 {
	output(verdict{Success: true, Action: "ignore"})
	return 0
}

//go:wasmexport shutdown
func shutdown() int32 { return 0 }

func main() {}
