// Package llm answers: how does one act through a language model? It speaks in the shape of
// Anthropic's Messages and knows which providers may be used under which arrangement; it doesn't know
// who asks, nor what stands behind a token.
package llm

import (
	"context"
	"encoding/json"
)

// Block types of a message.
const (
	Text       = "text"
	ToolUse    = "tool_use"
	ToolResult = "tool_result"
)

// Roles of a message.
const (
	User      = "user"
	Assistant = "assistant"
)

// Reasons why a model stops.
const (
	EndTurn      = "end_turn"
	StopToolUse  = "tool_use"
	StopMaxToken = "max_tokens"

	// NotUnderstood is a local model's own: it found no meaning in the question and says so in text.
	NotUnderstood = "not_understood"
)

// Block is one content block. Which fields are set follows from Type.
type Block struct {
	Type      string          `json:"type"`
	Text      string          `json:"text,omitempty"`        // text
	ID        string          `json:"id,omitempty"`          // tool_use
	Name      string          `json:"name,omitempty"`        // tool_use
	Input     json.RawMessage `json:"input,omitempty"`       // tool_use
	ToolUseID string          `json:"tool_use_id,omitempty"` // tool_result
	Content   string          `json:"content,omitempty"`     // tool_result
	IsError   bool            `json:"is_error,omitempty"`    // tool_result
}

// Message is one turn of a conversation.
type Message struct {
	Role    string  `json:"role"`
	Content []Block `json:"content"`
}

// Tool is a tool as the model is told of it.
type Tool struct {
	Name        string          `json:"name"`
	Description string          `json:"description,omitempty"`
	InputSchema json.RawMessage `json:"input_schema"`
}

// Request asks a model for its next message.
type Request struct {
	Model     string    `json:"model"`
	MaxTokens int       `json:"max_tokens"`
	System    string    `json:"system,omitempty"`
	Messages  []Message `json:"messages"`
	Tools     []Tool    `json:"tools,omitempty"`
}

// Usage counts tokens as the provider does. A local model counts none.
type Usage struct {
	InputTokens  int `json:"input_tokens"`
	OutputTokens int `json:"output_tokens"`
}

// Response is the model's next message.
type Response struct {
	ID         string  `json:"id"`
	Model      string  `json:"model"`
	Role       string  `json:"role"`
	Content    []Block `json:"content"`
	StopReason string  `json:"stop_reason"`
	Usage      Usage   `json:"usage"`

	RequestID string `json:"-"` // the provider's own id for the request, "" where it gives none
	Retries   int    `json:"-"` // attempts before the one that was answered
}

// Model answers one turn.
type Model interface {
	// Generate gives the assistant's next message. It must not keep anything of the request. A model
	// that finds no meaning in the question says so in text; errors are for failures, and are of kind
	// Upstream, Limited or Invalid.
	Generate(ctx context.Context, r Request) (Response, error)
}
