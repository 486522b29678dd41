// Trades of WOO X as a push plugin in Go, generation 3, as the current library makes them: the frame as base64
// within JSON, encoding/json both ways. The records are those of woox_push.c, octet for octet. For the benchmarks.
package main

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/extism/go-pdk"
)

type command struct {
	Name   string `json:"name"`
	Params struct {
		Symbol string `json:"symbol"`
	} `json:"params"`
}

type message struct {
	StreamID string `json:"streamId"`
	Message  []byte `json:"message"`
}

type frame struct {
	Topic string `json:"topic"`
	Data  struct {
		Price string `json:"px"`
		Size  string `json:"sx"`
		Side  string `json:"sd"`
		Ms    int64  `json:"ts"`
	} `json:"data"`
}

type trade struct {
	Symbol    string `json:"symbol"`
	Timestamp string `json:"timestamp"`
	Price     string `json:"price"`
	Size      string `json:"size"`
	Side      string `json:"side"`
}

type verdict struct {
	Success   bool   `json:"success"`
	Action    string `json:"action"`
	DataType  string `json:"dataType,omitempty"`
	Timestamp string `json:"timestamp,omitempty"`
	Data      any    `json:"data,omitempty"`
	Error     string `json:"error,omitempty"`
}

func output(v any) {
	text, _ := json.Marshal(v)
	pdk.Output(text)
}

//go:wasmexport meta
func meta() int32 {
	pdk.OutputString(`{"pluginId":"woox-datasource","name":"WOO X, push, Go","appId":"datasrc","version":"v1.0.0","category":"cex",` +
		`"resources":{"allowedNetworkTargets":[{"pattern":"wss://wss.woox.io/*"}]},"features":["tradesStream"]}`)
	return 0
}

//go:wasmexport init
func start() int32 { return 0 }

//go:wasmexport handle_command
func handleCommand() int32 {
	var c command
	if json.Unmarshal(pdk.Input(), &c) != nil || c.Name != "tradesStream" {
		output(map[string]any{"result": false, "error": "unknown command: " + c.Name})
		return 1
	}
	topic := "trade@" + c.Params.Symbol
	output(map[string]any{"result": true, "responseType": "StreamMarker", "data": map[string]any{
		"_stream": true, "streamID": topic, "websocketUrl": "wss://wss.woox.io/v3/public",
		"initialMessages": []string{`{"id":"1","cmd":"SUBSCRIBE","params":["` + topic + `"]}`},
		"streamContext":   map[string]any{"symbol": c.Params.Symbol},
	}})
	return 0
}

//go:wasmexport handle_stream_message
func handleStreamMessage() int32 {
	var m message
	var f frame
	if err := json.Unmarshal(pdk.Input(), &m); err != nil {
		output(verdict{Action: "ignore", Error: "failed to parse stream message request: " + err.Error()})
		return 1
	}
	if json.Unmarshal(m.Message, &f) != nil || f.Topic != m.StreamID || f.Data.Ms == 0 {
		output(verdict{Success: true, Action: "ignore"})
		return 0
	}
	side := "sell"
	if f.Data.Side == "BUY" {
		side = "buy"
	}
	at := time.UnixMilli(f.Data.Ms).UTC().Format("2006-01-02T15:04:05.000Z")
	output(verdict{Success: true, Action: "data", DataType: "trades", Timestamp: at,
		Data: trade{strings.TrimPrefix(f.Topic, "trade@"), at, f.Data.Price, f.Data.Size, side}})
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
