// Package venue is WOO X's side of the four plugins beside it, so that what is left in each of them is its
// dialect. dialect.h is the same in C.
package venue

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/extism/go-pdk"
)

const Socket = "wss://wss.woox.io/v3/public"

// Resources is what meta asks for.
var Resources = map[string]any{"allowedNetworkTargets": []map[string]string{
	{"pattern": "https://api.woox.io/*"}, {"pattern": "wss://wss.woox.io/*"}}}

//go:wasmimport extism:host/user http_request
func httpRequest(offset uint64) uint64

//go:wasmimport extism:host/user log_record
func logRecord(offset uint64) uint64

// Note writes a line to the user's log.
func Note(event, message string) {
	mem, err := pdk.AllocateJSON(map[string]any{"id": 0, "pluginId": "dialect", "eventType": event,
		"timestamp": "0001-01-01T00:00:00Z", "message": message})
	if err == nil {
		logRecord(mem.Offset())
		mem.Free()
	}
}

// rows are those of a reply of the REST API.
func rows(path string, into any) error {
	mem, err := pdk.AllocateJSON(map[string]any{"url": "https://api.woox.io" + path, "method": "GET", "headers": nil, "body": nil})
	if err != nil {
		return err
	}
	var reply struct {
		Status  int                 `json:"status"`
		Headers map[string][]string `json:"headers"`
		Body    []byte              `json:"body"`
		Error   string              `json:"error"`
	}
	answer := pdk.FindMemory(httpRequest(mem.Offset()))
	if err := json.Unmarshal(answer.ReadBytes(), &reply); err != nil {
		return fmt.Errorf("http_request: %w", err)
	}
	if reply.Error != "" {
		return errors.New(reply.Error)
	}
	var envelope struct {
		Success bool   `json:"success"`
		Message string `json:"message"`
		Data    struct {
			Rows json.RawMessage `json:"rows"`
		} `json:"data"`
	}
	if err := json.Unmarshal(reply.Body, &envelope); err != nil {
		return fmt.Errorf("failed to unmarshal a reply with status %d: %w", reply.Status, err)
	}
	if !envelope.Success {
		return fmt.Errorf("the venue refuses with status %d: %s", reply.Status, envelope.Message)
	}
	return json.Unmarshal(envelope.Data.Rows, into)
}

// Markets lists all; the symbol is called name.
func Markets(name, perpetual string) ([]map[string]string, error) {
	var instruments []struct{ Symbol, BaseAsset, QuoteAsset string }
	if err := rows("/v3/public/instruments", &instruments); err != nil {
		return nil, err
	}
	var all []map[string]string
	for _, i := range instruments {
		kind := "spot"
		if strings.HasPrefix(i.Symbol, "PERP_") {
			kind = perpetual
		}
		all = append(all, map[string]string{name: i.Symbol, "base": i.BaseAsset, "quote": i.QuoteAsset, "assetType": kind})
	}
	return all, nil
}

// Candle is one as the venue gives it, live and in its history.
type Candle struct {
	Start                          int64 // seconds
	Open, High, Low, Close, Volume json.Number
}

// As writes it the way a dialect does: under which name its time goes, and decimals as text or as numbers.
func (c Candle) As(time string, quoted bool) map[string]any {
	record := map[string]any{time: c.Start}
	for name, value := range map[string]json.Number{"open": c.Open, "high": c.High, "low": c.Low, "close": c.Close, "volume": c.Volume} {
		record[name] = value
		if quoted {
			record[name] = value.String()
		}
	}
	return record
}

// History gives the candles of a span, newest first, as they come; 0 is unset.
func History(symbol, span string, fromMs, toMs int64, limit int) ([]Candle, error) {
	if limit == 0 {
		limit = 100
	}
	path := "/v3/public/klineHistory?symbol=" + symbol + "&type=" + span + "&limit=" + strconv.Itoa(limit)
	if fromMs > 0 {
		path += "&after=" + strconv.FormatInt(fromMs, 10)
	}
	if toMs > 0 {
		path += "&before=" + strconv.FormatInt(toMs, 10)
	}
	var found []struct {
		StartTimestamp                 int64
		Open, High, Low, Close, Volume json.Number
	}
	if err := rows(path, &found); err != nil {
		return nil, err
	}
	var all []Candle // nil, so null, when there is none
	for _, c := range found {
		all = append(all, Candle{c.StartTimestamp / 1000, c.Open, c.High, c.Low, c.Close, c.Volume})
	}
	return all, nil
}

// Subscribe is the message that asks for "ohlcv", "trades" or "orderbook" (changes only) of a symbol.
func Subscribe(kind, symbol, span string) (string, error) {
	topic := "trade@" + symbol
	switch kind {
	case "trades":
	case "orderbook":
		topic = "orderbookupdate@" + symbol + "@50"
	case "ohlcv":
		if span == "" {
			span = "1m"
		}
		topic = "kline@" + symbol + "@" + span
	default:
		return "", fmt.Errorf("unknown stream type '%s'", kind)
	}
	return `{"id":"1","cmd":"SUBSCRIBE","params":["` + topic + `"]}`, nil
}

// What a frame means: one of Candle and Trade, or a refusal, or nothing for a reader.
type What struct {
	Candle  *Candle
	Trade   map[string]any
	Book    *Book
	Refused bool
}

// Book is a change of the book, with the venue's numbers: it counts by the time of the change before.
type Book struct {
	Data       json.RawMessage
	Ts, PrevTs int64
}

// Frame reads one.
func Frame(text []byte) (What, error) {
	var f struct {
		Topic   string
		Cmd     string
		Success bool
		Data    json.RawMessage
	}
	if err := json.Unmarshal(text, &f); err != nil {
		return What{}, err
	}
	switch {
	case f.Cmd == "SUBSCRIBE":
		var accepted []string
		return What{Refused: !f.Success || json.Unmarshal(f.Data, &accepted) != nil || len(accepted) == 0}, nil
	case strings.HasPrefix(f.Topic, "kline@"):
		var k struct {
			O, H, L, C, V json.Number
			St            int64
		}
		err := json.Unmarshal(f.Data, &k)
		return What{Candle: &Candle{k.St / 1000, k.O, k.H, k.L, k.C, k.V}}, err
	case strings.HasPrefix(f.Topic, "orderbookupdate@"):
		b := Book{Data: f.Data}
		err := json.Unmarshal(f.Data, &b)
		return What{Book: &b}, err
	case strings.HasPrefix(f.Topic, "trade@"):
		var t struct {
			Px, Sx, Sd string
			Ts         int64
		}
		err := json.Unmarshal(f.Data, &t)
		return What{Trade: map[string]any{"ts_event": strconv.FormatInt(t.Ts*1000000, 10), "price": t.Px, "size": t.Sx,
			"side": strings.ToLower(t.Sd)}}, err
	}
	return What{}, nil
}
