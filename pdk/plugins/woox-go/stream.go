// start_stream and stop_stream: the socket, its goroutine, and the records.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/extism/go-pdk"
)

type stream struct {
	key          streamKey
	topic        string
	interval     string // of candles
	depth        string // of a book
	connectionID string
	cancel       context.CancelFunc
	pinged       time.Time
	lastTs       int64 // the book's chain: the ts published last, 0 before the snapshot
}

var streams = map[string]*stream{}

func streamName(key streamKey) string {
	return strings.Join([]string{key.Type, key.Source, key.Identifier, key.Parameters["timeframe"], key.Parameters["depth"]}, ":")
}

// newStream checks a key and names its topic.
func newStream(key streamKey) (*stream, error) {
	s := &stream{key: key}
	if key.Identifier == "" {
		return nil, errors.New("'identifier' is missing; it wants a symbol like SPOT_BTC_USDT")
	}
	switch key.Type {
	case "ohlcv":
		s.interval = key.Parameters["timeframe"]
		if s.interval == "" {
			s.interval = "1h"
		}
		name, err := spell(s.interval)
		if err != nil {
			return nil, err
		}
		if name == "1mon" {
			name = "1M"
		}
		s.interval = name
		s.topic = "kline@" + key.Identifier + "@" + name
	case "trades":
		s.topic = "trade@" + key.Identifier
	case "ticker", "bbo":
		s.topic = key.Type + "@" + key.Identifier
	case "orderbook":
		s.depth = key.Parameters["depth"]
		if s.depth == "" {
			s.depth = "50"
		}
		if s.depth != "50" && s.depth != "200" {
			return nil, fmt.Errorf("unsupported depth '%s'; there are 50 and 200", s.depth)
		}
		s.topic = "orderbookupdate@" + key.Identifier + "@" + s.depth
	default:
		return nil, fmt.Errorf("unknown stream type '%s'; there are ohlcv, trades, orderbook, ticker and bbo", key.Type)
	}
	return s, nil
}

//go:wasmexport start_stream
func startStream() int32 {
	var key streamKey
	if err := pdk.InputJSON(&key); err != nil {
		return refuse(fmt.Errorf("the stream's key: %w", err))
	}
	s, err := newStream(key)
	if err != nil {
		return refuse(err)
	}
	if _, running := streams[streamName(key)]; running {
		return refuse(errors.New("the stream is running"))
	}
	connected, err := socketCall(wsConnect, connectRequest{URL: socketURL})
	if err != nil {
		return refuse(fmt.Errorf("failed to connect: %w", err))
	}
	s.connectionID = connected.ConnectionID
	s.pinged = time.Now()
	if err := s.send(map[string]any{"id": "1", "cmd": "SUBSCRIBE", "params": []string{s.topic}}); err != nil {
		return refuse(fmt.Errorf("failed to subscribe: %w", err))
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	streams[streamName(key)] = s
	note("info", "streaming "+s.topic)
	go s.receive(ctx)
	time.Sleep(10 * time.Millisecond) // let the goroutine start

	return reply(map[string]any{"success": true, "data": map[string]string{
		"status": "started", "connectionId": s.connectionID, "channel": s.topic}})
}

//go:wasmexport stop_stream
func stopStream() int32 {
	var key streamKey
	if err := pdk.InputJSON(&key); err != nil {
		return refuse(fmt.Errorf("the stream's key: %w", err))
	}
	s, running := streams[streamName(key)]
	if !running {
		return refuse(errors.New("stream not found"))
	}
	s.cancel()
	delete(streams, streamName(key))
	_, _ = socketCall(wsClose, socketRequest{ConnectionID: s.connectionID})
	return reply(map[string]any{"success": true, "data": map[string]string{"status": "stopped"}})
}

func (s *stream) send(message any) error {
	text, err := json.Marshal(message)
	if err != nil {
		return err
	}
	_, err = socketCall(wsSend, socketRequest{ConnectionID: s.connectionID, Message: string(text)})
	return err
}

// receive is the goroutine: it blocks in the host, parses and publishes until it is cancelled.
func (s *stream) receive(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		default:
		}
		answer, err := socketCall(wsReceive, socketRequest{ConnectionID: s.connectionID, TimeoutMs: 5000})
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			note("warn", "receive: "+err.Error())
			continue
		}
		if now := time.Now(); now.Sub(s.pinged) >= 15*time.Second { // the venue hangs up after 60 s without a word
			s.pinged = now
			_ = s.send(map[string]any{"cmd": "PING", "ts": now.UnixMilli()})
		}
		if answer.Timeout {
			continue
		}
		if err := s.handle([]byte(answer.Message)); err != nil {
			note("warn", err.Error())
		}
	}
}

// handle takes one frame.
func (s *stream) handle(frame []byte) error {
	var envelope struct {
		Topic   string          `json:"topic"`
		Cmd     string          `json:"cmd"`
		Success bool            `json:"success"`
		Data    json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(frame, &envelope); err != nil {
		return fmt.Errorf("a frame is no JSON: %w", err)
	}
	switch {
	case envelope.Topic == s.topic:
		return s.record(envelope.Data)
	case envelope.Cmd == "PING":
		return s.send(map[string]any{"cmd": "PONG", "ts": time.Now().UnixMilli()})
	case envelope.Cmd == "SUBSCRIBE":
		var accepted []string
		if !envelope.Success || json.Unmarshal(envelope.Data, &accepted) != nil || len(accepted) == 0 {
			return fmt.Errorf("WOO X refused the subscription to '%s'", s.topic)
		}
		if s.key.Type == "orderbook" {
			return s.snapshot()
		}
	}
	return nil
}

func milliseconds(ms int64) time.Time {
	return time.UnixMilli(ms).UTC()
}

// record turns the data of one frame into one record. Decimals keep the venue's digits: json.Number
// reads a string of digits and writes a number, string stays a string.
func (s *stream) record(raw json.RawMessage) error {
	if s.key.Type == "orderbook" {
		return s.delta(raw)
	}
	if s.key.Type == "ohlcv" {
		var d struct {
			O, H, L, C, V json.Number
			St, Ts        int64
		}
		if err := json.Unmarshal(raw, &d); err != nil {
			return err
		}
		return publish(s.key, milliseconds(max(d.Ts, d.St)), struct {
			Symbol    string      `json:"symbol"`
			Interval  string      `json:"interval"`
			Timestamp time.Time   `json:"timestamp"`
			Open      json.Number `json:"open"`
			High      json.Number `json:"high"`
			Low       json.Number `json:"low"`
			Close     json.Number `json:"close"`
			Volume    json.Number `json:"volume"`
		}{s.key.Identifier, s.interval, milliseconds(d.St), d.O, d.H, d.L, d.C, d.V})
	}
	var d struct {
		Px, Sx, Sd       string
		O, H, L, C, V, A string
		Bp, Bq, Ap, Aq   string
		Cnt, Ts          int64
	}
	if err := json.Unmarshal(raw, &d); err != nil {
		return err
	}
	at := milliseconds(d.Ts)
	data := map[string]any{"symbol": s.key.Identifier, "timestamp": at}
	switch s.key.Type {
	case "trades":
		data["price"], data["size"], data["side"] = d.Px, d.Sx, strings.ToLower(d.Sd)
	case "bbo":
		data["bid"], data["bid_size"], data["ask"], data["ask_size"] = d.Bp, d.Bq, d.Ap, d.Aq
	case "ticker":
		data["open"], data["high"], data["low"], data["close"] = d.O, d.H, d.L, d.C
		data["volume"], data["amount"], data["count"] = d.V, d.A, d.Cnt
	}
	return publish(s.key, at, data)
}

type book struct {
	Symbol    string      `json:"symbol"`
	Timestamp time.Time   `json:"timestamp"`
	Type      string      `json:"type"`
	PrevTs    int64       `json:"prev_ts,omitempty"`
	Ts        int64       `json:"ts"`
	Bids      [][2]string `json:"bids"`
	Asks      [][2]string `json:"asks"`
}

// snapshot fetches the whole book and publishes it. Changes that arrived meanwhile wait in the host;
// delta drops those that the snapshot contains.
func (s *stream) snapshot() error {
	type level struct{ Price, Quantity string }
	var data struct{ Bids, Asks []level }
	s.lastTs = 0
	ts, err := get("/v3/public/orderbook?symbol="+s.key.Identifier+"&maxLevel="+s.depth, nil, nil, &data)
	if err != nil {
		return err
	}
	pairs := func(levels []level) [][2]string {
		out := make([][2]string, 0, len(levels))
		for _, l := range levels {
			out = append(out, [2]string{l.Price, l.Quantity})
		}
		return out
	}
	s.lastTs = ts
	return publish(s.key, milliseconds(ts), book{s.key.Identifier, milliseconds(ts), "snapshot", 0, ts, pairs(data.Bids), pairs(data.Asks)})
}

// delta publishes a change that continues the book, and begins again with a snapshot at a hole.
func (s *stream) delta(raw json.RawMessage) error {
	var d struct {
		Ts, PrevTs int64
		Bids, Asks [][2]string
	}
	if err := json.Unmarshal(raw, &d); err != nil {
		return err
	}
	if s.lastTs == 0 || d.PrevTs > s.lastTs {
		return s.snapshot() // newer than this change, or the next change finds the hole again
	}
	if d.Ts <= s.lastTs {
		return nil
	}
	previous := s.lastTs
	s.lastTs = d.Ts
	return publish(s.key, milliseconds(d.Ts), book{s.key.Identifier, milliseconds(d.Ts), "delta", previous, d.Ts, d.Bids, d.Asks})
}
