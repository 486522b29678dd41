// Generation 3 in Go, the current library (v1.5): see dialect_3_base64.c.
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

type response struct {
	Result          bool   `json:"result"`
	ResponseType    string `json:"responseType,omitempty"`
	Data            any    `json:"data,omitempty"`
	Error           string `json:"error,omitempty"`
	CacheForSeconds int64  `json:"cacheForSeconds,omitempty"`
}

func respond(r response, err error) int32 {
	if err != nil {
		return output(response{Error: err.Error()}, 1)
	}
	r.Result = true
	return output(r, 0)
}

//go:wasmexport meta
func meta() int32 {
	return output(map[string]any{"pluginId": "dialect-3-base64-go", "name": "Dialect 3, base64 (Go)", "appId": "datasrc", "version": "2.0.0",
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
func fields() int32 {
	return output([]map[string]any{
		{"name": "depth", "label": "Rows of history", "type": "number", "required": false, "default": 50, "options": map[string]any{"min": 1}},
		{"name": "apiKey", "label": "Key", "type": "", "required": false, "encrypt": true, "mask": true}}, 0)
}

//go:wasmexport get_rate_limits
func limits() int32 {
	var none []string
	return output(none, 0) // null
}

// Numbers must be numbers.
//
//go:wasmexport init
func start() int32 {
	config = nil
	if json.Unmarshal(pdk.Input(), &config) != nil || config == nil {
		return 1
	}
	if _, number := config["depth"].(float64); config["depth"] != nil && !number {
		config = nil
		return 1
	}
	return 0
}

type params struct {
	Market struct {
		Symbol string `json:"symbol"`
	} `json:"market"`
	Timeframe string `json:"timeframe"`
	StartTime any    `json:"startTime"`
	EndTime   any    `json:"endTime"`
	Limit     int    `json:"limit"`
}

var commands map[string]func(p params) (response, error)

func init() {
	commands = map[string]func(p params) (response, error){
		"getMarkets":      markets,
		"getTimeframes":   timeframes,
		"getOHLCV":        history,
		"ohlcvStream":     func(p params) (response, error) { return stream("ohlcv", p) },
		"tradesStream":    func(p params) (response, error) { return stream("trades", p) },
		"orderbookStream": func(p params) (response, error) { return stream("orderbook", p) },
	}
}

func markets(params) (response, error) {
	all, err := venue.Markets("symbol", "perpetual")
	return response{Data: all, CacheForSeconds: 43200}, err
}

func timeframes(params) (response, error) {
	return response{Data: []map[string]any{{"id": 0, "userId": 0, "value": 1, "unit": "m", "location": nil},
		{"id": 0, "userId": 0, "value": 1, "unit": "D", "location": nil}}}, nil
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

func history(p params) (response, error) {
	candles, err := venue.History(p.Market.Symbol, p.Timeframe, ms(p.StartTime), ms(p.EndTime), p.Limit)
	var records []map[string]any
	for _, c := range candles {
		records = append(records, c.As("openTime", true))
	}
	return response{Data: records}, err
}

func stream(kind string, p params) (response, error) {
	if p.Market.Symbol == "" {
		return response{}, errors.New("market is no object with a symbol")
	}
	if p.Timeframe == "1d" {
		return response{}, errors.New("unsupported timeframe") // knows 1D
	}
	message, err := venue.Subscribe(kind, p.Market.Symbol, p.Timeframe)
	return response{ResponseType: "StreamMarker", Data: map[string]any{
		"_stream": true, "streamID": "stream_" + p.Market.Symbol, "websocketUrl": venue.Socket, "headers": map[string]string{},
		"initialMessages": []string{message}, "streamContext": map[string]any{"what": kind},
		"heartbeat": map[string]any{"app": map[string]any{"matchJsonField": "cmd", "pingValue": "PING", "pongValue": "PONG", "clientPingIntervalMs": 15000}},
	}}, err
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
		return respond(response{}, err)
	}
	if run := commands[c.Name]; run != nil {
		return respond(run(c.Params))
	}
	return respond(response{}, errors.New("unknown command: "+c.Name))
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
		Message       []byte         `json:"message"`
		StreamContext map[string]any `json:"streamContext"`
	}
	if err := json.Unmarshal(pdk.Input(), &m); err != nil {
		return output(verdict{Action: "ignore", Error: "failed to parse stream message request: " + err.Error()}, 1)
	}
	if m.StreamContext["what"] == nil {
		return output(verdict{Success: true, Action: "ignore"}, 0)
	}
	what, err := venue.Frame(m.Message)
	switch {
	case err != nil:
		return output(verdict{Action: "ignore", Error: err.Error()}, 1)
	case what.Candle != nil:
		return output(verdict{Success: true, Action: "data", DataType: "ohlcv", Data: what.Candle.As("openTime", true)}, 0)
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
