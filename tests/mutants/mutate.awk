# Mutants of C sources, one small change each.
#   awk -f mutate.awk FILE..                        lists FILE:LINE:RULE, every place where a rule applies
#   awk -v at=LINE -v rule=RULE -f mutate.awk FILE  prints FILE with that one change
# A rule replaces the first occurrence of its left side on the line; the last one drops a whole call.
function add(a, b) { from[++rules] = a; to[rules] = b }
BEGIN {
    add(" + ", " - "); add(" - ", " + "); add(" * ", " + "); add(" < ", " <= "); add(" <= ", " < ")
    add(" > ", " >= "); add(" >= ", " > "); add(" == ", " != "); add(" != ", " == "); add(" && ", " || ")
    add(" || ", " && "); add(" >> ", " << "); add(" << ", " >> "); add(" & ", " | "); add(" % ", " + ")
    add(" += ", " -= "); add(" -= ", " += "); add(" + 1", " + 2"); add(" - 1", ""); add(" ? ", " == 0 ? ")
    add("k->sub(", "k->add("); add("k->add(", "k->sub("); add("ntt_fwd(", "ntt_inv("); add("ntt_inv(", "ntt_fwd(")
    add(", 0)", ", 1)"); add(", 1)", ", 0)"); add("= 0;", "= 1;"); add("(2 * ", "(3 * "); add("1 << ", "2 << ")
    drop = ++rules
}
function code(s) { # no comment, directive, message or compile-time check
    return s ~ /^ / && s !~ /^ \*/ && s !~ /^ *(\/[*\/]|#)/ && s !~ /thor_fail|_Static_assert|assert\(/
}
function applies(s, r) {
    if (r == drop) return s ~ /^ +(TRY\()?[a-z_]+(->[a-z_]+)*\(.*\);$/
    c = index(s, "//") ? index(s, "//") : index(s, "/*")
    i = index(s, from[r])
    return i && (!c || i < c)
}
function changed(s, r) {
    if (r == drop) return "    ;"
    i = index(s, from[r])
    return substr(s, 1, i - 1) to[r] substr(s, i + length(from[r]))
}
at { print FNR == at ? changed($0, rule) : $0; next }
code($0) {
    for (r = 1; r <= rules; r++) if (applies($0, r)) print FILENAME ":" FNR ":" r
}
