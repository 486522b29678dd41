// The WOO X plugin in Go, generation 2, written the way Go plugins of this kind are: start_stream
// starts a goroutine that receives and publishes, sleeps 10 ms "to let it start" and returns.
//
// In WebAssembly there is one thread and the goroutine never yields it, so in truth start_stream does
// not return while data flows; the host knows and lets the call stay pending. And like its model the
// loop does not give up when the socket is gone: the host delays its error answers and, after some,
// starts the stream again. The C plugin beside this shows the other way.
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o woox-go.wasm .    a reactor: the usual way
//	GOOS=wasip1 GOARCH=wasm go build -o woox-go.wasm .                        a command: works too
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/extism/go-pdk"
)

const (
	restURL   = "https://api.woox.io"
	socketURL = "wss://wss.woox.io/v3/public"
)

func main() {}

// reply makes v the output of an export that succeeded.
func reply(v any) int32 {
	if err := pdk.OutputJSON(v); err != nil {
		return refuse(err)
	}
	return 0
}

// refuse makes err the output of an export that failed.
func refuse(err error) int32 {
	_ = pdk.OutputJSON(map[string]any{"success": false, "error": err.Error()})
	return 1
}

//go:wasmexport meta
func meta() int32 {
	type target struct {
		Pattern string `json:"pattern"`
	}
	return reply(map[string]any{
		"pluginId": "woox-go-datasource", "name": "WOO X (Go)", "appId": "datasrc", "version": "1.0.0",
		"category": "CexDataSource", "description": "Candles, trades, order books and tickers of the WOO X exchange",
		"author": "Weir", "repository": "", "tags": []string{"woox", "crypto"}, "contacts": []string{},
		"resources": map[string]any{
			"allowedNetworkTargets": []target{{"https://api.woox.io/*"}, {"https://api-pub.woox.io/*"}, {"wss://wss.woox.io/*"}},
			"fsWriteAccess":         map[string]string{},
		},
		"features": []string{"historic_ohlcv", "ohlcv_stream", "trades_stream", "orderbook_stream", "ticker_stream", "bbo_stream", "account"},
	})
}

//go:wasmexport plugin_info
func pluginInfo() int32 {
	return reply(map[string]any{
		"name": "WOO X (Go)", "version": "1.0.0", "author": "Weir", "type": "datasource",
		"description":    "Candles, trades, order books and tickers of the WOO X exchange",
		"streamTypes":    []string{"ohlcv", "trades", "orderbook", "ticker", "bbo"},
		"networkTargets": []string{"https://api.woox.io/*", "https://api-pub.woox.io/*", "wss://wss.woox.io/*"},
	})
}

//go:wasmexport get_name
func getName() int32 {
	pdk.OutputString("WOO X (Go)")
	return 0
}

//go:wasmexport get_credential_fields
func getCredentialFields() int32 {
	type field struct {
		Name      string `json:"name"`
		Label     string `json:"label"`
		Required  bool   `json:"required"`
		Encrypt   bool   `json:"encrypt"`
		Mask      bool   `json:"mask"`
		OmitEmpty bool   `json:"omitEmpty"`
	}
	return reply([]field{
		{"api_key", "API key", false, true, false, true},
		{"api_secret", "API secret", false, true, true, true},
	})
}

//go:wasmexport plugin_configure
func pluginConfigure() int32 {
	var settings map[string]string
	if err := pdk.InputJSON(&settings); err != nil {
		pdk.SetError(fmt.Errorf("plugin_configure: %w", err))
		return 1
	}
	for name, variable := range map[string]string{"api_key": "apiKey", "apiKey": "apiKey", "api_secret": "apiSecret", "apiSecret": "apiSecret"} {
		if value := settings[name]; value != "" {
			pdk.SetVar(variable, []byte(value))
		}
	}
	pdk.OutputString("configured")
	return 0
}

type timeframe struct {
	Label    string `json:"label"`
	APIValue string `json:"apiValue"`
	Interval int    `json:"interval"`
}

var timeframes = []timeframe{
	{"1 minute", "1m", 60}, {"3 minutes", "3m", 180}, {"5 minutes", "5m", 300}, {"15 minutes", "15m", 900},
	{"30 minutes", "30m", 1800}, {"1 hour", "1h", 3600}, {"2 hours", "2h", 7200}, {"4 hours", "4h", 14400},
	{"6 hours", "6h", 21600}, {"12 hours", "12h", 43200}, {"1 day", "1d", 86400}, {"1 week", "1w", 604800},
	{"1 month", "1mon", 2592000},
}

// spell gives a time frame the way REST writes it; topics differ in the month only.
func spell(name string) (string, error) {
	if other, ok := map[string]string{"1D": "1d", "1W": "1w", "1M": "1mon"}[name]; ok {
		name = other
	}
	for _, t := range timeframes {
		if t.APIValue == name {
			return name, nil
		}
	}
	return "", fmt.Errorf("unsupported timeframe '%s'; get_timeframes lists those there are", name)
}

//go:wasmexport get_timeframes
func getTimeframes() int32 {
	return reply(timeframes)
}

// get fetches a path of the REST API and reads its data; it is signed when there is a secret. The
// venue's word is "success":true, whatever the HTTP status.
func get(path string, key, secret []byte, data any) (timestamp int64, err error) {
	request := httpAsk{URL: restURL + path, Method: "GET"}
	if len(secret) > 0 {
		now := strconv.FormatInt(time.Now().UnixMilli(), 10)
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(now + "GET" + path))
		request.Headers = map[string]string{"content-type": "application/json", "x-api-key": string(key),
			"x-api-timestamp": now, "x-api-signature": hex.EncodeToString(mac.Sum(nil))}
	}
	var answer httpAnswer
	if err := ask(httpRequest, request, &answer); err != nil {
		return 0, err
	}
	if answer.Error != "" {
		return 0, errors.New(answer.Error)
	}
	var envelope struct {
		Success   bool            `json:"success"`
		Message   string          `json:"message"`
		Data      json.RawMessage `json:"data"`
		Timestamp int64           `json:"timestamp"`
	}
	if err := json.Unmarshal(answer.Body, &envelope); err != nil {
		return 0, fmt.Errorf("WOO X answered HTTP %d and no JSON: %w", answer.Status, err)
	}
	if !envelope.Success {
		return 0, fmt.Errorf("WOO X refused '%s' with HTTP %d: %s", path, answer.Status, envelope.Message)
	}
	return envelope.Timestamp, json.Unmarshal(envelope.Data, data)
}

//go:wasmexport list_markets
func listMarkets() int32 {
	var data struct {
		Rows []struct {
			Symbol     string `json:"symbol"`
			BaseAsset  string `json:"baseAsset"`
			QuoteAsset string `json:"quoteAsset"`
			Status     string `json:"status"`
		} `json:"rows"`
	}
	if _, err := get("/v3/public/instruments", nil, nil, &data); err != nil {
		return refuse(err)
	}
	type market struct {
		Name      string `json:"name"`
		Base      string `json:"base"`
		Quote     string `json:"quote"`
		AssetType string `json:"assetType"`
		Status    string `json:"status"`
	}
	markets := make([]market, 0, len(data.Rows))
	for _, row := range data.Rows {
		kind := "spot"
		if strings.HasPrefix(row.Symbol, "PERP_") {
			kind = "futures"
		}
		markets = append(markets, market{row.Symbol, row.BaseAsset, row.QuoteAsset, kind, row.Status})
	}
	return reply(markets)
}

//go:wasmexport get_ohlcv
func getOHLCV() int32 {
	var in struct {
		Symbol    string `json:"symbol"`
		Timeframe string `json:"timeframe"`
		StartTime int64  `json:"startTime"`
		EndTime   int64  `json:"endTime"`
		Limit     int    `json:"limit"`
	}
	if err := pdk.InputJSON(&in); err != nil {
		return refuse(fmt.Errorf("get_ohlcv: %w", err))
	}
	if in.Timeframe == "" {
		in.Timeframe = "1h"
	}
	name, err := spell(in.Timeframe)
	if err != nil {
		return refuse(err)
	}
	if in.Symbol == "" {
		return refuse(errors.New("get_ohlcv: 'symbol' is missing; it wants one like SPOT_BTC_USDT"))
	}
	query := url.Values{"symbol": {in.Symbol}, "type": {name}, "limit": {"100"}}
	if in.Limit > 0 {
		query.Set("limit", strconv.Itoa(min(in.Limit, 1000)))
	}
	for parameter, seconds := range map[string]int64{"after": in.StartTime, "before": in.EndTime} {
		if seconds > 0 && seconds < 1e11 { // seconds by the contract, milliseconds by some hosts
			seconds *= 1000
		}
		if seconds > 0 {
			query.Set(parameter, strconv.FormatInt(seconds, 10))
		}
	}
	var data struct {
		Rows []struct {
			StartTimestamp int64       `json:"startTimestamp"`
			Open           json.Number `json:"open"`
			High           json.Number `json:"high"`
			Low            json.Number `json:"low"`
			Close          json.Number `json:"close"`
			Volume         json.Number `json:"volume"`
		} `json:"rows"`
	}
	if _, err := get("/v3/public/klineHistory?"+query.Encode(), nil, nil, &data); err != nil {
		return refuse(err)
	}
	type candle struct {
		Timestamp int64       `json:"timestamp"`
		Open      json.Number `json:"open"`
		High      json.Number `json:"high"`
		Low       json.Number `json:"low"`
		Close     json.Number `json:"close"`
		Volume    json.Number `json:"volume"`
	}
	candles := make([]candle, 0, len(data.Rows))
	for _, row := range data.Rows {
		candles = append(candles, candle{row.StartTimestamp / 1000, row.Open, row.High, row.Low, row.Close, row.Volume})
	}
	return reply(candles)
}

//go:wasmexport get_account
func getAccount() int32 {
	key, secret := pdk.GetVar("apiKey"), pdk.GetVar("apiSecret")
	if len(key) == 0 || len(secret) == 0 {
		return refuse(errors.New("get_account: needs 'api_key' and 'api_secret' in the connection's settings"))
	}
	var account json.RawMessage
	if _, err := get("/v3/account/info", key, secret, &account); err != nil {
		return refuse(err)
	}
	return reply(account)
}
