// Generation 1 in Go, as its later plugins speak it: see dialect_1.c.
package main

import (
	"errors"

	"dialects/venue"

	"github.com/extism/go-pdk"
)

func main() {}

var credentials map[string]string

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
	return finish(map[string]any{"pluginId": "dialect-1-go", "name": "Dialect 1 (Go)", "appId": "datasrc", "version": "1.2.0",
		"category": "CexDataSource", "tags": nil, "contacts": nil, "resources": venue.Resources,
		"features": []string{"historic_ohlcv", "ohlcv_stream"}}, nil)
}

//go:wasmexport get_name
func getName() int32 {
	pdk.OutputString("Dialect 1 (Go)")
	return 0
}

//go:wasmexport get_credential_fields
func getCredentialFields() int32 {
	type field struct {
		Name      string `json:"name"`
		Encrypt   bool   `json:"encrypt"`
		Mask      bool   `json:"mask"`
		OmitEmpty bool   `json:"omitEmpty"`
	}
	return finish([]field{{"app_id", false, false, true}, {"api_key", true, false, true}, {"api_secret", true, true, true}}, nil)
}

//go:wasmexport set_credentials
func setCredentials() int32 {
	if err := pdk.InputJSON(&credentials); err != nil {
		return finish(nil, err)
	}
	if credentials["apiKey"] == "" || credentials["apiSecret"] == "" {
		return finish(nil, errors.New("set_credentials: no apiKey or no apiSecret"))
	}
	return 0
}

//go:wasmexport list_markets
func listMarkets() int32 {
	return finish(venue.Markets("name", "futures"))
}

//go:wasmexport get_timeframes
func getTimeframes() int32 {
	return finish([]map[string]any{{"label": "1m", "apiValue": "1m", "interval": 60}, {"label": "1D", "apiValue": "1d", "interval": 86400},
		{"label": "1M", "apiValue": "1mon", "interval": 2592000}}, nil)
}

//go:wasmexport get_ohlcv
func getOHLCV() int32 {
	var in struct {
		Symbol, Timeframe  string
		StartTime, EndTime int64 // seconds
		Limit              int
	}
	if err := pdk.InputJSON(&in); err != nil {
		return finish(nil, err)
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
	var in struct {
		StreamID   string                            `json:"streamId"`
		StreamType string                            `json:"streamType"`
		Parameters struct{ Symbol, Interval string } `json:"parameters"`
	}
	if err := pdk.InputJSON(&in); err != nil {
		return finish(nil, err)
	}
	message, err := venue.Subscribe(in.StreamType, in.Parameters.Symbol, in.Parameters.Interval)
	if err != nil {
		return finish(map[string]any{"success": false, "websocketUrl": "", "initialMessages": nil, "error": err.Error()}, nil)
	}
	return finish(map[string]any{"success": true, "websocketUrl": venue.Socket, "initialMessages": []string{message}}, nil)
}

//go:wasmexport handle_stream_message
func handleStreamMessage() int32 {
	var in struct {
		StreamID    string `json:"streamId"`
		Message     string `json:"message"`
		MessageType string `json:"messageType"`
	}
	if err := pdk.InputJSON(&in); err != nil {
		return finish(nil, err)
	}
	what, err := venue.Frame([]byte(in.Message))
	switch {
	case err != nil:
		return finish(map[string]any{"success": false, "action": "ignore", "error": err.Error()}, nil)
	case what.Candle != nil:
		return finish(map[string]any{"success": true, "action": "data", "dataType": "ohlcv", "data": what.Candle.As("timestamp", false)}, nil)
	case what.Trade != nil:
		return finish(map[string]any{"success": true, "action": "data", "dataType": "trades", "data": what.Trade}, nil)
	case what.Book != nil:
		return finish(map[string]any{"success": true, "action": "data", "dataType": "orderbook", "data": what.Book.Data,
			"sequence": what.Book.Ts, "previousSequence": what.Book.PrevTs}, nil)
	case what.Refused:
		return finish(map[string]any{"success": true, "action": "close"}, nil)
	}
	return finish(map[string]any{"success": true, "action": "ignore"}, nil)
}

//go:wasmexport stream_connection_event
func streamConnectionEvent() int32 {
	var in struct {
		EventType string `json:"eventType"`
	}
	if err := pdk.InputJSON(&in); err != nil {
		return finish(nil, err)
	}
	action := "ignore"
	if in.EventType == "error" || in.EventType == "disconnected" {
		action = "reconnect"
	}
	return finish(map[string]any{"success": true, "action": action}, nil)
}

//go:wasmexport stream_ohlcv
func streamOHLCV() int32 {
	return finish(nil, errors.New("not implemented"))
}
