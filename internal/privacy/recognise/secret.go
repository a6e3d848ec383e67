package recognise

import (
	"strings"
)

// secretRule is a credential's own mark: how it begins, what it is made of, how long it is at least.
// Facts are from the issuers' documentation.
type secretRule struct {
	prefix string
	more   string // bytes allowed besides letters and digits
	least  int    // bytes after the prefix
}

// secretRules lists them. The longest prefix that fits need not win: all end at the same place.
func secretRules() []secretRule {
	return []secretRule{
		{"sk-ant-", "-_", 20},    // Anthropic
		{"sk-proj-", "-_", 20},   // OpenAI
		{"sk_live_", "", 16},     // Stripe
		{"rk_live_", "", 16},     // Stripe
		{"sk_test_", "", 16},     // Stripe
		{"AKIA", "", 16},         // AWS
		{"ASIA", "", 16},         // AWS, temporary
		{"ghp_", "", 30},         // GitHub
		{"gho_", "", 30},         // GitHub
		{"ghu_", "", 30},         // GitHub
		{"ghs_", "", 30},         // GitHub
		{"ghr_", "", 30},         // GitHub
		{"github_pat_", "_", 30}, // GitHub
		{"glpat-", "-_.", 20},    // GitLab
		{"xoxb-", "-", 20},       // Slack
		{"xoxp-", "-", 20},       // Slack
		{"xoxa-", "-", 20},       // Slack
		{"xoxr-", "-", 20},       // Slack
		{"xoxs-", "-", 20},       // Slack
		{"xapp-", "-", 20},       // Slack
		{"AIza", "-_", 35},       // Google
		{"ya29.", "-_.", 20},     // Google
		{"SG.", "-_.", 40},       // SendGrid
		{"hf_", "", 30},          // Hugging Face
		{"npm_", "", 30},         // npm
		{"shpat_", "", 30},       // Shopify
		{"dop_v1_", "", 40},      // DigitalOcean
		{"eyJ", "-_.=", 40},      // JSON Web Token: also checked for its dots
		{"00D", "!._", 40},       // Salesforce session: also checked for its '!'
		{"stw_", "-_", 20},       // Steward's own
	}
}

// maxHeader is how far the first dot of a JSON Web Token is looked for. Its header is a line at most.
const maxHeader = 1024

const (
	pemBegin = "-----BEGIN "
	pemKind  = "PRIVATE KEY"
	pemEnd   = "-----END "
)

// Secrets finds credentials: spans in order that don't overlap.
func Secrets(text string) []Span {
	var found []Span
	rules := secretRules()
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '-':
			if end := pem(text, i); end > 0 {
				found = append(found, Span{i, end, Secret, true})
				i = end - 1
			}
			continue
		case 's', 'r', 'A', 'g', 'x', 'y', 'S', 'h', 'n', 'd', 'e', '0', 'p':
		default:
			continue
		}
		if i > 0 && (isASCIILetter(text[i-1]) || isDigit(text[i-1]) || text[i-1] == '_') {
			continue
		}
		for _, rule := range rules {
			if end := rule.match(text, i); end > 0 {
				found = append(found, Span{i, end, Secret, true})
				i = end - 1
				break
			}
		}
	}
	return found
}

// match gives the end of the secret at i, or 0.
func (r secretRule) match(text string, i int) int {
	if !strings.HasPrefix(text[i:], r.prefix) {
		return 0
	}
	from := i + len(r.prefix)
	switch ahead := text[from:min(len(text), from+maxHeader)]; r.prefix {
	case "eyJ":
		if dot := strings.IndexFunc(ahead, func(c rune) bool { return !r.allows(c) || c == '.' }); dot < 0 || ahead[dot] != '.' {
			return 0
		}
	case "00D":
		if bang := strings.IndexByte(ahead, '!'); bang != 12 && bang != 15 {
			return 0
		}
	}
	j := from + len(text[from:])
	if end := strings.IndexFunc(text[from:], func(c rune) bool { return !r.allows(c) }); end >= 0 {
		j = from + end
	}
	for j > from && text[j-1] == '.' { // the sentence's, not the secret's
		j--
	}
	if j-from < r.least {
		return 0
	}
	return j
}

func (r secretRule) allows(c rune) bool {
	return c < 0x80 && (isASCIILetter(byte(c)) || isDigit(byte(c))) || strings.ContainsRune(r.more, c)
}

// pem gives the end of a private key in PEM form that begins at i, or 0. One that is cut off reaches
// to the end of the text.
func pem(text string, i int) int {
	if !strings.HasPrefix(text[i:], pemBegin) {
		return 0
	}
	header := text[i:min(len(text), i+80)]
	if line := strings.IndexAny(header, "\r\n"); line >= 0 {
		header = header[:line]
	}
	if !strings.Contains(header, pemKind) {
		return 0
	}
	end := strings.Index(text[i:], pemEnd)
	if end < 0 {
		return len(text)
	}
	end += i + len(pemEnd)
	if dashes := strings.Index(text[end:], "-----"); dashes >= 0 && dashes < 60 {
		return end + dashes + 5
	}
	return len(text)
}
