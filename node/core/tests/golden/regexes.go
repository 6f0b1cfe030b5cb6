//go:build ignore

// Writes regexes.txt, the verdicts of Go's regexp package: `go run regexes.go > regexes.txt` (Go 1.26).
// Only for making the file anew; the tests read the file.
package main

import (
	"bufio"
	"fmt"
	"math/rand"
	"os"
	"regexp"
	"strings"
)

// The texts that each accepted expression is tried on; the order is that of the bits.
var texts = []string{
	"", "a", "b", "ab", "aa", "abc", "A", "é", "1", "a.b", "a\nb", "-", "[", "aab", "k", "a1_",
}

// What real configurations write, and what people get wrong.
var byHand = []string{
	`critical|warning`, `.*`, `.+`, ``, `^$`, `^(?:foo|bar)$`, `web-.*`, `db[0-9]+\.example\.com`, `(?i)prod`, `^team-(a|b)$`,
	`[^:]+:\d+`, `.*(Down|Missing)$`, `*`, `+`, `?`, `a**`, `a{2}{3}`, `a++`, `a{1001}`, `a{1000}`, `(a{1000}){2}`, `[a`, `(a`, `a)`,
	`a)(b`, `\`, `\1`, `\C`, `\Z`, `\z`, `\A`, `\G`, `\h`, `\R`, `\X`, `\K`, `\e`, `\cA`, `\Qa.b`, `\Qa.b\E`, `\E`, `\Q\E*`, `(?=a)`,
	`(?!a)`, `(?<=a)`, `(?<!a)`, `(?>a)`, `(?#a)`, `(?|a)`, `(?P<n>a)`, `(?<n>a)`, `(?P=n)`, `(?P<n>a)(?P<n>b)`, `(?P<1>a)`,
	`(?P<>a)`, `(?P<é>a)`, `(?i-s:a)`, `(?-)`, `(?i-)`, `(?x)a`, `(?imsU)a`, `(?i`, `(?`, `[[:alpha:]]`, `[[:^alpha:]]`,
	`[[:word:]]`, `[[:foo:]]`, `[:alpha:]`, `[[=a=]]`, `[[.a.]]`, `[a&&b]`, `[a--b]`, `[a~~b]`, `[a-b-c]`, `[a-\d]`, `[\d-z]`,
	`[z-a]`, `[]`, `[]a]`, `[^]`, `[^]a]`, `[a[b]`, `[\Q]\E]`, `\pL`, `\p{L}`, `\p{Lu}`, `\p{Greek}`, `\p{^Greek}`, `\P{^Greek}`,
	`\p{Any}`, `\p{greek}`, `\p{Foo}`, `\p{L`, `\p`, `\pX`, `\p{Script=Greek}`, `\x41`, `\x4`, `\x{41}`, `\x{110000}`, `\x{}`, `\u0041`,
	`\07`, `\123`, `\8`, `\08`, `a{,2}`, `a{2,}`, `a{2,1}`, `a{ 1}`, `a{01}`, `a{`, `a{}`, `{`, `}`, `]`, `{1}`, `x{0}`, `(){1000}`,
	`(?:a|b){500}`, `((a{10}){10}){10}`, `((a{10}){10}){11}`, `^*`, `$*`, `\b*`, `(?i)*`, `|*`, `|`, `||`, `(|)`, `()`, `(?:)`, `(?:)*`,
	`a|*`, `(*)`, `(?i)ſ|k`, `\s\S\w\W\d\D`, `\_`, `\-`, `\/`, `\<`, `\é`, `\ `, `é+`, `.{1000}`, `a??`, `a*?`, `a+?`, `a{1}?`, `a???`,
}

var tokens = []string{
	"a", "b", "c", "k", "1", "é", "A", ".", "-", "_", "_", ",", ":", " ", "&", "&&", "~~", "--", "#", "=", "!", "<", ">",
	"*", "+", "?", "??", "*?", "{", "}", "{2}", "{1,3}", "{,2}", "{2,}", "{0}", "{3,1}", "{01}", "{1000}", "{1001}", "{9999999999}",
	"|", "(", ")", "(?:", "(?i)", "(?i:", "(?-i)", "(?s)", "(?m)", "(?U)", "(?P<n>", "(?<m>", "(?=", "(?!", "(?<=", "(?i-s:", "(?x)", "(?P=n)",
	"[", "]", "[^", "[]", "[a-c]", "[^a-c]", "[[:alpha:]]", "[[:^digit:]]", "[[:x:]]", "[a-", "a-c", "c-a", "[:word:]", "[b-b]",
	"^", "$", `\A`, `\z`, `\Z`, `\b`, `\B`, `\d`, `\D`, `\w`, `\W`, `\s`, `\S`, `\h`, `\n`, `\t`, `\v`, `\a`, `\f`, `\r`, `\e`,
	`\pL`, `\PL`, `\p{Lu}`, `\p{^Lu}`, `\p{Greek}`, `\p{Foo}`, `\p{`, `\pN`, `\Q`, `\E`, `\x61`, `\x{62}`, `\x{110000}`, `\x6`, `\141`, `\08`, `\1`,
	`\.`, `\[`, `\]`, `\\`, `\-`, `\_`, `\é`, `\C`, `\G`, `\`,
}

var random = rand.New(rand.NewSource(20261124))

func pick(from ...string) string { return from[random.Intn(len(from))] }

// Any tokens in a row: most are wrong.
func soup() string {
	var out strings.Builder
	for range 1 + random.Intn(7) {
		out.WriteString(tokens[random.Intn(len(tokens))])
	}
	return out.String()
}

// An expression that follows the grammar: most are good.
func tree(depth int) string {
	if depth == 0 {
		return pick("a", "b", "c", "k", "1", "é", "A", ".", `\.`, `\d`, `\w`, `\s`, `\D`, `\pL`, `\p{Greek}`, "^", "$", `\b`, `\B`, `\z`,
			`\x61`, `\Qa.b\E`, `\n`, "foo", "[a-c]", "[^a]", "[[:alpha:]]", `[\d_-]`, "[-a]", "[é-ü]", `[^\n]`, `[\w&&a]`, "-", "_")
	}
	switch random.Intn(8) {
	case 0:
		return tree(depth-1) + "|" + tree(depth-1)
	case 1:
		return "(" + tree(depth-1) + ")"
	case 2:
		return pick("(?:", "(?i:", "(?s:", "(?m:", "(?U:", "(?i-s:", "(?P<n>", "(?<m>") + tree(depth-1) + ")"
	case 3:
		return "(?:" + tree(depth-1) + ")" + pick("*", "+", "?", "*?", "+?", "??", "{2}", "{0,2}", "{1,}", "{3}?")
	case 4:
		return tree(0) + pick("*", "+", "?", "*?", "+?", "??", "{2}", "{0,2}", "{1,}", "{3}?")
	case 5:
		return pick("(?i)", "(?s)", "(?m)", "(?U)", "(?-i)") + tree(depth-1)
	default:
		return tree(depth-1) + tree(depth-1)
	}
}

// A good one with a token put in, or a byte taken out.
func broken() string {
	runes := []rune(tree(3))
	at := random.Intn(len(runes))
	if random.Intn(2) == 0 {
		return string(runes[:at]) + tokens[random.Intn(len(tokens))] + string(runes[at:])
	}
	return string(runes[:at]) + string(runes[at+1:])
}

// Four hexadecimal digits, a bit for each text from the first one down, or four dashes when the expression is refused.
func verdict(expression string) string {
	compiled, err := regexp.Compile("^(?:" + expression + ")$")
	if err != nil {
		return "----"
	}
	bits := 0
	for _, text := range texts {
		bits <<= 1
		if compiled.MatchString(text) {
			bits |= 1
		}
	}
	return fmt.Sprintf("%04x", bits)
}

func main() {
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	seen := map[string]bool{}
	add := func(expression string) {
		if !seen[expression] && !strings.ContainsAny(expression, "\n\r") && len(expression) <= 60 {
			seen[expression] = true
			fmt.Fprintf(out, "%s %s\n", verdict(expression), expression)
		}
	}
	for _, expression := range byHand {
		add(expression)
	}
	for len(seen) < 10_000 {
		switch random.Intn(3) {
		case 0:
			add(soup())
		case 1:
			add(tree(1 + random.Intn(4)))
		default:
			add(broken())
		}
	}
}
