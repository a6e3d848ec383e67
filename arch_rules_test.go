package steward_test

// The rules that arch_test.go holds the program to, as functions over its sources.

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
)

// tree is the program's sources, by folder.
type tree struct {
	rooms map[string]*sources
	fset  *token.FileSet
}

type sources struct {
	files   map[string]*ast.File // by path
	lines   map[string]int
	imports []string // folders of ours, without the root
	root    bool     // imports the root too
	foreign []string // import paths of libraries
	info    types.Info
	scope   *types.Scope
}

// parse reads sources given by path. Other packages are not loaded: what a name in this package stands
// for is all that the checks need to know, so they work with nothing but the sources.
func parse(texts map[string]string) (tree, error) {
	t := tree{rooms: map[string]*sources{}, fset: token.NewFileSet()}
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		file, err := parser.ParseFile(t.fset, name, texts[name], parser.ParseComments)
		if err != nil {
			return t, err
		}
		folder := path.Dir(name)
		s := t.rooms[folder]
		if s == nil {
			s = &sources{files: map[string]*ast.File{}, lines: map[string]int{}}
			t.rooms[folder] = s
		}
		s.files[name] = file
		s.lines[name] = strings.Count(texts[name], "\n")
		for _, spec := range file.Imports {
			imported, _ := strconv.Unquote(spec.Path.Value)
			first, _, _ := strings.Cut(imported, "/")
			switch {
			case imported == module:
				s.root = true
			case strings.HasPrefix(imported, module+"/"):
				s.imports = append(s.imports, strings.TrimPrefix(imported, module+"/"))
			case strings.Contains(first, "."):
				s.foreign = append(s.foreign, imported)
			}
		}
	}
	for folder, s := range t.rooms {
		slices.Sort(s.imports)
		s.imports = slices.Compact(s.imports)
		s.info = types.Info{Uses: map[*ast.Ident]types.Object{}, Defs: map[*ast.Ident]types.Object{}}
		lenient := types.Config{Importer: hollow{}, Error: func(error) {}}
		pkg, _ := lenient.Check(folder, t.fset, slices.Collect(maps.Values(s.files)), &s.info)
		s.scope = pkg.Scope()
	}
	return t, nil
}

// hollow gives packages with nothing in them.
type hollow struct{}

func (hollow) Import(importPath string) (*types.Package, error) {
	pkg := types.NewPackage(importPath, path.Base(importPath))
	pkg.MarkComplete()
	return pkg, nil
}

func (t tree) at(n ast.Node) string {
	p := t.fset.Position(n.Pos())
	return fmt.Sprintf("%s:%d", p.Filename, p.Line)
}

// each calls look for every node of every file.
func (t tree) each(look func(folder string, s *sources, n ast.Node)) {
	for _, folder := range slices.Sorted(maps.Keys(t.rooms)) {
		s := t.rooms[folder]
		for _, name := range slices.Sorted(maps.Keys(s.files)) {
			ast.Inspect(s.files[name], func(n ast.Node) bool {
				look(folder, s, n)
				return true
			})
		}
	}
}

func (t tree) strayImports() (wrong []string) {
	for folder, s := range t.rooms {
		i := slices.IndexFunc(house, func(r room) bool { return r.folder == folder })
		if i < 0 {
			wrong = append(wrong, folder+" is not in the map; give it a row that says why it is there")
			continue
		}
		allowed := strings.Fields(house[i].imports)
		for _, imported := range s.imports {
			if !slices.Contains(allowed, strings.TrimPrefix(imported, "internal/")) && house[i].imports != "*" {
				wrong = append(wrong, folder+" imports "+imported+", which the map doesn't allow")
			}
		}
		for _, imported := range s.foreign {
			if !mayKnow(folder, imported) {
				wrong = append(wrong, folder+" imports "+imported+", which is another room's library or nobody's")
			}
		}
	}
	slices.Sort(wrong)
	return wrong
}

func mayKnow(folder, imported string) bool {
	for library, owner := range libraries {
		if (imported == library || strings.HasPrefix(imported, library+"/")) && within(folder, owner) {
			return true
		}
	}
	return false
}

func (t tree) longChains() (wrong []string) {
	known := map[string][]string{}
	var chain func(folder string) []string
	chain = func(folder string) []string {
		if folder == "." {
			return []string{"."}
		}
		if c, ok := known[folder]; ok {
			return c
		}
		known[folder] = nil // the compiler refuses cycles
		var longest []string
		if s := t.rooms[folder]; s != nil {
			if s.root {
				longest = []string{"."}
			}
			for _, imported := range s.imports {
				if c := chain(imported); len(c) > len(longest) {
					longest = c
				}
			}
		}
		known[folder] = slices.Concat([]string{folder}, longest)
		return known[folder]
	}
	for folder := range t.rooms {
		if c := chain(folder); len(c) > maxChain {
			wrong = append(wrong, fmt.Sprintf("%d packages in a chain, %d are allowed: %s", len(c), maxChain, strings.Join(c, " → ")))
		}
	}
	slices.Sort(wrong)
	return wrong
}

func (t tree) manyImports() []string {
	rooms, edges := 0, 0
	for folder, s := range t.rooms {
		if strings.HasPrefix(folder, "internal/") {
			rooms++
			edges += len(s.imports)
		}
	}
	if mean := float64(edges) / float64(max(rooms, 1)); mean > maxMeanImports {
		return []string{fmt.Sprintf("%d imports among %d rooms are %.2f each; %.1f are allowed", edges, rooms, mean, maxMeanImports)}
	}
	return nil
}

func (t tree) tooLong() (wrong []string) {
	for folder, s := range t.rooms {
		sum := 0
		for name, lines := range s.lines {
			sum += lines
			if lines > maxFile && longFiles[name] == "" {
				wrong = append(wrong, fmt.Sprintf("%s has %d lines, over %d: split it, or list it with the reason that it is one algorithm", name, lines, maxFile))
			}
		}
		if sum > maxPackage {
			wrong = append(wrong, fmt.Sprintf("%s has %d lines, over %d: give a part of it a name and a package", folder, sum, maxPackage))
		}
	}
	slices.Sort(wrong)
	return wrong
}

func (t tree) uncommented() (wrong []string) {
	for folder, s := range t.rooms {
		var comments []string
		begin := "Package "
		for _, file := range s.files {
			if file.Name.Name == "main" {
				begin = "Command "
			}
			if file.Doc != nil {
				comments = append(comments, file.Doc.Text())
			}
		}
		if folder == "." {
			begin += path.Base(module) + " "
		} else {
			begin += path.Base(folder) + " "
		}
		if len(comments) != 1 || !strings.HasPrefix(comments[0], begin) {
			wrong = append(wrong, fmt.Sprintf("%s needs one package comment that starts %q; it has %d comments", folder, begin, len(comments)))
		}
	}
	slices.Sort(wrong)
	return wrong
}

func (t tree) inits() (wrong []string) {
	t.each(func(_ string, _ *sources, n ast.Node) {
		if f, ok := n.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
			wrong = append(wrong, t.at(f)+": init runs unasked and out of order; call it from the wiring")
		}
	})
	return wrong
}

// mutated finds package variables that are changed after their declaration, or could be: assigned to,
// counted up, written into by index or field, deleted from, sorted, or lent out by address.
func (t tree) mutated() (wrong []string) {
	t.each(func(_ string, s *sources, n ast.Node) {
		changed := func(e ast.Expr, how string) {
			if name := s.packageVariable(e); name != "" {
				wrong = append(wrong, fmt.Sprintf("%s: the package variable %s is %s; make it a field", t.at(e), name, how))
			}
		}
		switch n := n.(type) {
		case *ast.AssignStmt:
			if n.Tok != token.DEFINE {
				for _, left := range n.Lhs {
					changed(left, "assigned to")
				}
			}
		case *ast.IncDecStmt:
			changed(n.X, "counted")
		case *ast.RangeStmt:
			if n.Tok == token.ASSIGN {
				changed(n.Key, "assigned to")
				changed(n.Value, "assigned to")
			}
		case *ast.UnaryExpr:
			if n.Op == token.AND {
				changed(n.X, "lent out by address")
			}
		case *ast.CallExpr:
			if f, ok := n.Fun.(*ast.Ident); ok && len(n.Args) > 0 && slices.Contains([]string{"delete", "clear", "copy"}, f.Name) {
				changed(n.Args[0], "changed by "+f.Name)
			}
			if f, ok := n.Fun.(*ast.SelectorExpr); ok && len(n.Args) > 0 {
				if _, name := s.qualified(f); slices.Contains([]string{"Sort", "SortFunc", "SortStableFunc", "Reverse", "Strings", "Slice", "SliceStable", "DeleteFunc"}, name) {
					changed(n.Args[0], "changed by "+name)
				}
			}
		case *ast.ValueSpec:
			// Locks, counters and once-values exist to be changed.
			for _, name := range n.Names {
				if object := s.info.Defs[name]; n.Type != nil && object != nil && object.Parent() == s.scope {
					if selector, ok := n.Type.(*ast.SelectorExpr); ok {
						if from, _ := s.qualified(selector); from == "sync" || from == "sync/atomic" {
							wrong = append(wrong, fmt.Sprintf("%s: the package variable %s is made to change; make it a field", t.at(name), name.Name))
						}
					}
				}
			}
		}
	})
	return wrong
}

// packageVariable names the package-level variable that an expression is, or is a part of: ours, or
// another package's.
func (s *sources) packageVariable(e ast.Expr) string {
	for {
		switch x := e.(type) {
		case *ast.ParenExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.SliceExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.SelectorExpr:
			if from, name := s.qualified(x); from != "" {
				return from + "." + name
			}
			e = x.X
		case *ast.Ident:
			if v, ok := s.info.Uses[x].(*types.Var); ok && v.Parent() == s.scope {
				return x.Name
			}
			return ""
		default:
			return ""
		}
	}
}

// qualified splits time.Now into "time" and "Now"; both are empty for a field or method.
func (s *sources) qualified(x *ast.SelectorExpr) (from, name string) {
	if id, ok := x.X.(*ast.Ident); ok {
		if p, ok := s.info.Uses[id].(*types.PkgName); ok {
			return p.Imported().Path(), x.Sel.Name
		}
	}
	return "", ""
}

func (t tree) misused() (wrong []string) {
	pointers := map[ast.Node]bool{} // *http.Client is a client made by somebody else
	t.each(func(folder string, s *sources, n ast.Node) {
		var where ast.Node
		var from, name string
		switch n := n.(type) {
		case *ast.StarExpr:
			pointers[n.X] = true
			return
		case *ast.ImportSpec:
			from, _ = strconv.Unquote(n.Path.Value)
			where = n
			if n.Name != nil && n.Name.Name == "." {
				wrong = append(wrong, t.at(n)+": a dot import hides where names come from")
			}
		case *ast.SelectorExpr:
			from, name = s.qualified(n)
			where = n
			if from == "net/http" && name == "Client" && pointers[n] {
				return
			}
		}
		if from == "" {
			return
		}
		for _, r := range reserved {
			if r.names(from, name) && !within(folder, r.rooms) {
				wrong = append(wrong, fmt.Sprintf("%s: %s is not for %s: %s", t.at(where), strings.TrimSuffix(from+"."+name, "."), folder, r.because))
			}
		}
	})
	return wrong
}

// names says whether a use of a package (name "") or of one of its names is what is reserved.
func (r only) names(from, name string) bool {
	slash := strings.LastIndex(r.name, "/") + 1
	dot := slash + strings.Index(r.name[slash:], ".")
	wanted := r.name[dot+1:]
	if r.name[:dot] != from || (wanted == "") != (name == "") {
		return false
	}
	if prefix, ok := strings.CutSuffix(wanted, "*"); ok {
		return strings.HasPrefix(name, prefix)
	}
	return wanted == name
}

func within(folder, rooms string) bool {
	return slices.ContainsFunc(strings.Fields(rooms), func(r string) bool {
		return folder == r || strings.HasPrefix(folder, r+"/")
	})
}
