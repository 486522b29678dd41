// Generation 1 in Go, the oldest dialect: see dialect_1_oldest.c. Imports the log from env, the rest from
// extism:host/user.
package main

import (
	"errors"

	"dialects/venue"

	"github.com/extism/go-pdk"
)

func main() {}

//go:wasmimport env time_now
func timeNow(offset uint64) uint64

func finish(v any, err error) int32 {
	if err == nil {
		err = pdk.OutputJSON(v)
	}
	if err != nil {
		pdk.SetError(err)
		return 1
	}
	return 0
}

//go:wasmexport meta
func meta() int32 {
	return finish(map[string]any{"pluginId": "dialect-1-oldest-go", "name": "Dialect 1, the oldest (Go)", "appId": "datasrc",
		"version": "0.1.0", "category": "DataSource", "resources": venue.Resources}, nil)
}

//go:wasmexport get_credential_fields
func getCredentialFields() int32 {
	return finish([]map[string]any{{"name": "api_key", "encrypt": true, "mask": true, "omitEmpty": true}}, nil)
}

//go:wasmexport list_markets
func listMarkets() int32 {
	return finish(venue.Markets("name", "futures"))
}

//go:wasmexport get_timeframes
func getTimeframes() int32 {
	return finish([]map[string]any{{"label": "1m", "apiValue": "1m", "interval": 60}}, nil)
}

//go:wasmexport get_ohlcv
func getOHLCV() int32 {
	var in struct {
		Credentials        map[string]string
		Symbol, Timeframe  string
		StartTime, EndTime int64 // seconds
		Limit              int
	}
	if err := pdk.InputJSON(&in); err != nil {
		return finish(nil, err)
	}
	if in.Credentials["apiKey"] == "" {
		return finish(nil, errors.New("get_ohlcv: no credentials"))
	}
	candles, err := venue.History(in.Symbol, in.Timeframe, in.StartTime*1000, in.EndTime*1000, in.Limit)
	var records []map[string]any
	for _, c := range candles {
		records = append(records, c.As("timestamp", false))
	}
	return finish(records, err)
}

//go:wasmexport prepare_stream
func prepareStream() int32 {
	var in struct{ Symbol, Interval string }
	if err := pdk.InputJSON(&in); err != nil {
		return finish(nil, err)
	}
	if in.Symbol == "" {
		return finish(nil, errors.New("prepare_stream: no symbol"))
	}
	timeNow(0)
	message, err := venue.Subscribe("ohlcv", in.Symbol, in.Interval)
	return finish(map[string]any{"websocketUrl": venue.Socket, "headers": nil, "initialMessages": []string{message}}, err)
}

//go:wasmexport handle_stream_message
func handleStreamMessage() int32 {
	var in struct {
		Message string `json:"message"`
	}
	if err := pdk.InputJSON(&in); err != nil {
		return finish(nil, err)
	}
	what, err := venue.Frame([]byte(in.Message))
	switch {
	case err != nil:
		return finish(nil, err)
	case what.Candle != nil:
		return finish(map[string]any{"action": "ohlcv", "ohlcvRecord": what.Candle.As("timestamp", false)}, nil)
	case what.Refused:
		return finish(map[string]any{"action": "close"}, nil)
	}
	return finish(map[string]any{"action": "ignore"}, nil)
}

//go:wasmexport stream_connection_event
func streamConnectionEvent() int32 {
	var in struct {
		EventType string `json:"eventType"`
	}
	if err := pdk.InputJSON(&in); err != nil {
		return finish(nil, err)
	}
	if in.EventType == "error" || in.EventType == "disconnected" {
		return finish(map[string]any{"action": "reconnect"}, nil)
	}
	return finish(map[string]any{"action": "ignore"}, nil)
}
