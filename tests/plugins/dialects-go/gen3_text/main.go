// Generation 3 in Go, an older library (v1.3): see dialect_3_text.c.
package main

import (
	"encoding/json"
	"errors"
	"time"

	"dialects/venue"

	"github.com/extism/go-pdk"
)

func main() {}

var config map[string]any

func output(v any, rc int32) int32 {
	text, _ := json.Marshal(v)
	pdk.Output(text)
	return rc
}

func respond(data any, err error) int32 {
	if err != nil {
		return output(map[string]any{"success": false, "error": err.Error()}, 1)
	}
	return output(map[string]any{"success": true, "data": data}, 0)
}

//go:wasmexport meta
func meta() int32 {
	return output(map[string]any{"pluginId": "dialect-3-text-go", "name": "Dialect 3, text (Go)", "appId": "datasrc", "version": "v1.0.0",
		"category": "cex", "resources": venue.Resources, "features": features()}, 0)
}

// features come in another order each time, as from a map.
func features() (names []string) {
	for name := range commands {
		names = append(names, name)
	}
	return names
}

//go:wasmexport get_configuration_fields
func fields() int32 { return output(nil, 0) }

//go:wasmexport get_rate_limits
func limits() int32 {
	return output([]map[string]any{{"command": "*", "scope": "ip", "rps": 100, "burst": 100, "cost": 0}}, 0)
}

//go:wasmexport init
func start() int32 {
	if json.Unmarshal(pdk.Input(), &config) != nil {
		return 1
	}
	return 0
}

type params struct {
	Symbol    string `json:"symbol"`
	Timeframe string `json:"timeframe"`
	Interval  string `json:"interval"`
	StartTime any    `json:"startTime"`
	EndTime   any    `json:"endTime"`
	Limit     int    `json:"limit"`
}

var commands map[string]func(p params) (any, error)

func init() {
	commands = map[string]func(p params) (any, error){
		"getMarkets": func(params) (any, error) { return venue.Markets("symbol", "futures") },
		"getTimeframes": func(params) (any, error) {
			return []map[string]any{{"label": "1 minute", "value": "1m", "interval": 60}}, nil
		},
		"getOHLCV":     history,
		"ohlcvStream":  nil,
		"tradesStream": nil,
	}
}

// ms is a time as RFC 3339 or milliseconds.
func ms(at any) int64 {
	switch at := at.(type) {
	case string:
		t, _ := time.Parse(time.RFC3339Nano, at)
		return t.UnixMilli()
	case float64:
		return int64(at)
	}
	return 0
}

func history(p params) (any, error) {
	candles, err := venue.History(p.Symbol, p.Timeframe, ms(p.StartTime), ms(p.EndTime), p.Limit)
	var records []map[string]any
	for _, c := range candles {
		records = append(records, c.As("timestamp", true))
	}
	return records, err
}

// stream answers with the marker, bare.
func stream(kind string, p params) int32 {
	message, err := venue.Subscribe(kind, p.Symbol, p.Interval)
	if err != nil || p.Symbol == "" {
		return respond(nil, errors.New("no such stream"))
	}
	return output(map[string]any{"_stream": true, "streamID": "stream_" + p.Symbol, "websocketUrl": venue.Socket, "initialMessages": []string{message}}, 0)
}

//go:wasmexport handle_command
func handleCommand() int32 {
	var c struct {
		Name   string `json:"name"`
		Params params `json:"params"`
	}
	if config == nil {
		panic("no client")
	}
	if err := json.Unmarshal(pdk.Input(), &c); err != nil {
		return respond(nil, err)
	}
	switch c.Name {
	case "ohlcvStream":
		return stream("ohlcv", c.Params)
	case "tradesStream":
		return stream("trades", c.Params)
	case "orderbookStream":
		return stream("orderbook", c.Params)
	}
	if run := commands[c.Name]; run != nil {
		return respond(run(c.Params))
	}
	return respond(nil, errors.New("unknown command: "+c.Name))
}

type verdict struct {
	Success  bool   `json:"success"`
	Action   string `json:"action"`
	DataType string `json:"dataType,omitempty"`
	Data     any    `json:"data,omitempty"`
	Error    string `json:"error,omitempty"`
	Sequence int64  `json:"sequence,omitempty"`
	Previous int64  `json:"previousSequence,omitempty"`
}

//go:wasmexport handle_stream_message
func handleStreamMessage() int32 {
	var m struct {
		Message string `json:"message"`
	}
	if err := json.Unmarshal(pdk.Input(), &m); err != nil {
		return output(verdict{Action: "ignore", Error: "failed to parse stream message request: " + err.Error()}, 1)
	}
	if m.Message == "" || m.Message[0] != '{' {
		return output(verdict{Success: true, Action: "ignore"}, 0) // base64 is what it does not know
	}
	what, err := venue.Frame([]byte(m.Message))
	switch {
	case err != nil:
		return output(verdict{Action: "ignore", Error: err.Error()}, 1)
	case what.Candle != nil:
		return output(verdict{Success: true, Action: "data", DataType: "ohlcv", Data: what.Candle.As("timestamp", true)}, 0)
	case what.Trade != nil:
		return output(verdict{Success: true, Action: "data", DataType: "trades", Data: what.Trade}, 0)
	case what.Book != nil:
		return output(verdict{Success: true, Action: "data", DataType: "orderbook", Data: what.Book.Data, Sequence: what.Book.Ts, Previous: what.Book.PrevTs}, 0)
	case what.Refused:
		return output(verdict{Success: true, Action: "close"}, 0)
	}
	return output(verdict{Success: true, Action: "ignore"}, 0)
}

//go:wasmexport handle_connection_event
func handleConnectionEvent() int32 {
	return output(verdict{Success: true, Action: "ignore"}, 0)
}

//go:wasmexport shutdown
func shutdown() int32 { return 0 }
