// What the host offers, typed. The five streaming functions come from the namespace env, as plugins
// of the first days import them; the others from extism:host/user. A host answers under both.
//
// Each call writes one JSON document to a block, hands over its offset and reads one back. Nothing is
// freed here: the host recycles the blocks of a long call.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/extism/go-pdk"
)

//go:wasmimport env ws_connect
func wsConnect(offset uint64) uint64

//go:wasmimport env ws_send
func wsSend(offset uint64) uint64

//go:wasmimport env ws_receive
func wsReceive(offset uint64) uint64

//go:wasmimport env ws_close
func wsClose(offset uint64) uint64

//go:wasmimport env publish_stream_data
func publishStreamData(offset uint64) uint64

//go:wasmimport extism:host/user http_request
func httpRequest(offset uint64) uint64

//go:wasmimport extism:host/user log_record
func logRecord(offset uint64) uint64

//go:wasmimport extism:host/user time_now
func timeNow(offset uint64) uint64

// ask sends a request to a host function and reads the reply.
func ask(function func(uint64) uint64, request, reply any) error {
	mem, err := pdk.AllocateJSON(request)
	if err != nil {
		return fmt.Errorf("request: %w", err)
	}
	answer := pdk.FindMemory(function(mem.Offset()))
	if err := json.Unmarshal(answer.ReadBytes(), reply); err != nil {
		return fmt.Errorf("reply: %w", err)
	}
	return nil
}

type connectRequest struct {
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers"`
}

type socketRequest struct {
	ConnectionID string `json:"connectionId"`
	Message      string `json:"message,omitempty"`
	TimeoutMs    int    `json:"timeoutMs,omitempty"`
}

type socketReply struct {
	Success      bool   `json:"success"`
	ConnectionID string `json:"connectionId"`
	Message      string `json:"message"`
	Timeout      bool   `json:"timeout"`
	Error        string `json:"error"`
}

// socketCall is ask with the reply of the streaming family judged.
func socketCall(function func(uint64) uint64, request any) (socketReply, error) {
	var reply socketReply
	if err := ask(function, request, &reply); err != nil {
		return reply, err
	}
	if !reply.Success {
		return reply, errors.New(reply.Error)
	}
	return reply, nil
}

type streamKey struct {
	Type         string            `json:"type"`
	Source       string            `json:"source"`
	Identifier   string            `json:"identifier"`
	Parameters   map[string]string `json:"parameters"`
	ConnectionID *uint64           `json:"connectionId"`
}

type streamData struct {
	Key       streamKey `json:"key"`
	Data      any       `json:"data"`
	Timestamp time.Time `json:"timestamp"`
}

func publish(key streamKey, at time.Time, data any) error {
	_, err := socketCall(publishStreamData, streamData{Key: key, Data: data, Timestamp: at})
	return err
}

// note writes to the user's log.
func note(event, message string) {
	var now time.Time
	if offset := timeNow(0); offset != 0 {
		text := pdk.FindMemory(offset)
		_ = json.Unmarshal(text.ReadBytes(), &now)
	}
	mem, err := pdk.AllocateJSON(map[string]any{
		"id": 0, "pluginId": "woox-go-datasource", "eventType": event, "timestamp": now, "message": message,
	})
	if err == nil {
		logRecord(mem.Offset())
		mem.Free()
	}
}

type httpAsk struct {
	URL     string            `json:"url"`
	Method  string            `json:"method"`
	Headers map[string]string `json:"headers"`
	Body    []byte            `json:"body"`
}

type httpAnswer struct {
	Status int    `json:"status"`
	Body   []byte `json:"body"`
	Error  string `json:"error"`
}
