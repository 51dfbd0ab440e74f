/* Each form is a function of the text and the place i where it would begin: where it ends, or 0.
 * They read characters up to the 0 behind the last one. */
#include "split/personal.h"

#include <string.h>

const char *const split_personal_names[SPLIT_PERSONAL_KINDS] = {"name",  "email", "link",  "date",
                                                                "phone", "id",    "number"};

typedef struct split_folded text;

/* ---- pieces */

static size_t digits(const text *t, size_t i) {
    size_t n = 0;
    while (split_is_digit(t->c[i + n])) n++;
    return n;
}

static size_t words(const text *t, size_t i) { // letters and digits, 32 at most: no word of a list
    size_t n = 0;
    while (n < 32 && split_is_word(t->c[i + n])) n++;
    return n;
}

static int value(const text *t, size_t i, size_t n) { // of at most 9 digits
    int x = 0;
    for (size_t k = 0; k < n; k++) x = 10 * x + (t->c[i + k] - '0');
    return x;
}

static int is_any(int32_t c, const char *of) {
    return c > 0 && c < 128 && strchr(of, c) != NULL;
}

static size_t behind(const text *t, size_t i, const char *marks) {
    while (is_any(t->c[i], marks)) i++;
    return i;
}

/* The n letters at i are one of the words of `list`, which has a space before and behind each. */
static int is_word_of(const text *t, size_t i, size_t n, const char *list) {
    char word[24] = " ";
    if (n == 0 || n + 3 > sizeof word) return 0;
    for (size_t k = 0; k < n; k++) {
        if (t->c[i + k] <= 0 || t->c[i + k] > 127) return 0;
        word[1 + k] = (char)t->c[i + k];
    }
    word[n + 1] = ' ';
    word[n + 2] = 0;
    return strstr(list, word) != NULL;
}

/* ---- e-mail, links, addresses of machines */

/* At least two labels with a dot between. */
static size_t domain(const text *t, size_t i) {
    size_t end = 0;
    int labels = 0;
    for (;; i++) {
        size_t n = 0;
        while (split_is_word(t->c[i + n]) || (n > 0 && t->c[i + n] == '-')) n++;
        if (n == 0) break;
        end = i += n;
        labels++;
        if (t->c[i] != '.') break;
    }
    return labels > 1 ? end : 0;
}

static size_t email(const text *t, size_t i) {
    size_t n = 0;
    if (!split_is_word(t->c[i])) return 0;
    while (n < 64 && (split_is_word(t->c[i + n]) || is_any(t->c[i + n], "._%+-'"))) n++;
    return t->c[i + n] == '@' ? domain(t, i + n + 1) : 0;
}

static int begins(const text *t, size_t i, const char *with) {
    for (; *with; i++, with++)
        if (t->c[i] != *with) return 0;
    return 1;
}

static size_t link(const text *t, size_t i) {
    if (!begins(t, i, "http://") && !begins(t, i, "https://") && !begins(t, i, "www.")) return 0;
    size_t end = i;
    while (t->c[end] && !is_any(t->c[end], " <>\"")) end++;
    while (is_any(t->c[end - 1], ".,;:!?)]'")) end--;
    return end;
}

static size_t ipv4(const text *t, size_t i) {
    for (int part = 0; part < 4; part++) {
        const size_t n = digits(t, i);
        if (n < 1 || n > 3 || value(t, i, n) > 255) return 0;
        i += n;
        if (part < 3 && t->c[i++] != '.') return 0;
    }
    return t->c[i] == '.' && split_is_digit(t->c[i + 1]) ? 0 : i;
}

/* ---- identifiers */

/* The remainder by 97 of the number that ISO 13616 makes of the n letters and digits at i: those
 * behind the fourth first, a = 10 .. z = 35. */
static int iban_remainder(const int32_t *c, size_t n) {
    int rest = 0;
    for (size_t k = 0; k < n; k++) {
        const int32_t x = c[(k + 4) % n];
        rest = split_is_digit(x) ? rest * 10 + (x - '0') : rest * 100 + (x - 'a' + 10);
        rest %= 97;
    }
    return rest;
}

/* "de00 0000 0000 ..": four digits follow three times. */
static size_t iban_with_a_slip(const text *t, size_t i) {
    int groups = 0;
    for (i += 4; t->c[i] == ' ' && digits(t, i + 1) == 4; i += 5) groups++;
    if (groups < 3) return 0;
    const size_t rest = t->c[i] == ' ' ? digits(t, i + 1) : 0;
    return rest > 0 && rest < 4 ? i + 1 + rest : i;
}

/* Two letters, two digits, then up to 30 letters and digits, a space behind each fourth perhaps:
 * the longest with the remainder 1. */
static size_t iban(const text *t, size_t i) {
    int32_t seen[34];
    size_t n = 0, end = 0;
    for (size_t k = i; n < 34; k++) {
        const int32_t c = t->c[k];
        if (c == ' ' && n > 0 && n % 4 == 0 && t->c[k + 1] != ' ') continue;
        const int is_digit = split_is_digit(c), is_letter = c >= 'a' && c <= 'z';
        if (!(n < 2 ? is_letter : n < 4 ? is_digit : is_digit || is_letter)) break;
        seen[n++] = c;
        if (n >= 15 && !split_is_word(t->c[k + 1]) && iban_remainder(seen, n) == 1) end = k + 1;
    }
    return end ? end : n >= 16 ? iban_with_a_slip(t, i) : 0;
}

static size_t social_security(const text *t, size_t i) {
    if (digits(t, i) != 3 || !is_any(t->c[i + 3], "- ")) return 0;
    if (digits(t, i + 4) != 2 || t->c[i + 6] != t->c[i + 3]) return 0;
    return digits(t, i + 7) == 4 && !split_is_word(t->c[i + 11]) ? i + 11 : 0;
}

/* 13 to 19 digits, single spaces or dashes between, whose sum by Luhn is a multiple of ten. */
static size_t card(const text *t, size_t i) {
    int digit[20], n = 0, sum = 0;
    size_t end = i;
    for (;; end++) {
        if (split_is_digit(t->c[end])) {
            if (n == 19) return 0;
            digit[n++] = t->c[end] - '0';
        } else if (!is_any(t->c[end], " -") || !split_is_digit(t->c[end + 1])) {
            break;
        }
    }
    for (int k = 0; k < n; k++) {
        const int doubled = (n - k) % 2 == 0 ? 2 * digit[k] : digit[k];
        sum += doubled > 9 ? doubled - 9 : doubled;
    }
    return n >= 13 && sum % 10 == 0 ? end : 0;
}

/* Letters and digits with one of `joins` between; of more than 256 nothing is counted. */
static size_t token(const text *t, size_t i, const char *joins, int *letters, int *figures) {
    const size_t from = i;
    *letters = *figures = 0;
    for (; i - from < 256; i++) {
        const int32_t c = t->c[i];
        if (split_is_digit(c))
            ++*figures;
        else if (split_is_word(c))
            ++*letters;
        else if (!is_any(c, joins) || !split_is_word(t->c[i + 1]))
            return i;
    }
    *letters = *figures = 0;
    return i;
}

/* "mrn 4711", "patient id: A-17", "case no. 12/345": the token behind such a word. */
static size_t labelled(const text *t, size_t i) {
    static const char labels[] = " mrn id ssn nhs case record patient passport account insurance "
                                 "policy chart accession npi dea member fallnummer aktenzeichen "
                                 "versichertennummer patientennummer ",
                      fillers[] = " no nr num number nummer ";
    int letters, figures;
    const size_t end = token(t, i, "-/_.", &letters, &figures);
    if (figures < 1 || letters + figures < 3) return 0;
    for (int back = 0; back < 3; back++) {
        size_t stop = i;
        while (stop > 0 && i - stop < 4 && is_any(t->c[stop - 1], " :#.=-")) stop--;
        size_t start = stop;
        while (start > 0 && stop - start < 24 && split_is_word(t->c[start - 1])) start--;
        if (is_word_of(t, start, stop - start, labels)) return end;
        if (!is_word_of(t, start, stop - start, fillers)) return 0;
        i = start;
    }
    return 0;
}

/* A letter first, six letters and digits or more, at least four digits; or six digits and a letter;
 * or nine digits in a row. */
static size_t mixed(const text *t, size_t i) {
    int letters, figures;
    const size_t end = token(t, i, "-_", &letters, &figures), n = digits(t, i);
    if (letters >= 1 && letters + figures >= 6 && figures >= (n > 0 ? 6 : 4)) return end;
    return n >= 9 && !split_is_word(t->c[i + n]) ? i + n : 0;
}

/* ---- dates */

static const char months[] =
    " january february march april may june july august september october november december "
    "jan feb mar apr jun jul aug sep sept oct nov dec "
    "januar februar marz maerz mai juni juli oktober dezember okt dez "
    "janvier fevrier mars avril juin juillet aout septembre octobre novembre decembre "
    "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre ";

/* " 10:30", "T10:30:00Z" behind a date. */
static size_t time_of_day(const text *t, size_t i) {
    if (!is_any(t->c[i], " t,")) return i;
    size_t at = behind(t, i + 1, " ");
    if (digits(t, at) < 1 || digits(t, at) > 2) return i;
    at += digits(t, at);
    for (int part = 0; part < 2 && t->c[at] == ':' && digits(t, at + 1) == 2; part++) i = at += 3;
    return i == at && t->c[i] == 'z' ? i + 1 : i;
}

static int is_year(const text *t, size_t i, size_t n) {
    return n == 4 && value(t, i, n) >= 1800 && value(t, i, n) < 2200;
}

/* 2024-01-31, 31.1.2024, 1/31/24, 3/2024. */
static size_t date_in_numbers(const text *t, size_t i) {
    size_t at[3], n[3], end = i;
    int parts = 0;
    const size_t first = digits(t, i);
    if (first < 1 || first > 4) return 0;
    const int32_t s = t->c[i + first];
    if (!is_any(s, "./-")) return 0;
    for (; parts < 3; parts++) {
        at[parts] = end;
        n[parts] = digits(t, end);
        if (n[parts] < 1) end--; // what stands behind the last one is no part of it
        if (n[parts] < 1 || n[parts] > 4) break;
        end += n[parts];
        if (t->c[end] != s) {
            parts++;
            break;
        }
        if (parts < 2) end++;
    }
    if (parts < 2 || split_is_digit(t->c[end])) return 0;
    if (t->c[end] == s && split_is_digit(t->c[end + 1])) return 0;
    if (parts == 2)
        return s != '-' && n[0] <= 2 && value(t, at[0], n[0]) <= 12 && is_year(t, at[1], n[1]) ? end
                                                                                               : 0;
    const int year_first = n[0] == 4, other = year_first ? 2 : 0;
    const int x = value(t, at[1], n[1]), y = value(t, at[other], n[other]);
    const size_t year = n[year_first ? 0 : 2];
    if (n[1] > 2 || n[other] > 2 || (year != 2 && year != 4)) return 0;
    if (x < 1 || y < 1 || x > 31 || y > 31 || (x > 12 && y > 12)) return 0;
    return time_of_day(t, end);
}

/* "31", "31st"; where it ends. */
static size_t day(const text *t, size_t i) {
    const size_t n = digits(t, i);
    if (n < 1 || n > 2 || value(t, i, n) < 1 || value(t, i, n) > 31) return 0;
    const size_t suffix = words(t, i + n);
    if (suffix == 0) return i + n;
    return is_word_of(t, i + n, suffix, " st nd rd th er ") ? i + n + suffix : 0;
}

/* The year behind a month or a day, " of 2024", ", 2024"; else where it would begin. */
static size_t year_behind(const text *t, size_t i) {
    size_t at = behind(t, i, " .,");
    if (is_word_of(t, at, words(t, at), " of de ")) at = behind(t, at + 2, " ");
    const size_t n = digits(t, at);
    return at > i && is_year(t, at, n) && !split_is_word(t->c[at + n]) ? at + n : i;
}

/* 31 January 2024, 31st of January, January 31, 2024, Jan 2024, 31 de enero de 2024. */
static size_t date_in_words(const text *t, size_t i) {
    size_t at = day(t, i), n;
    if (at) {
        at = behind(t, at, " .-");
        if (is_word_of(t, at, words(t, at), " of de ")) at = behind(t, at + 2, " ");
        n = words(t, at);
        if (!is_word_of(t, at, n, months)) return 0;
        return time_of_day(t, year_behind(t, at + n));
    }
    n = words(t, i);
    if (!is_word_of(t, i, n, months)) return 0;
    const size_t month = i + n, with_day = day(t, behind(t, month, " ."));
    if (with_day) return time_of_day(t, year_behind(t, with_day));
    const size_t year = year_behind(t, month);
    return year > month ? year : 0;
}

/* ---- telephones */

/* Groups of digits with up to three of " -./()" between, no end of a sentence; 7 to 15 digits. */
static size_t groups(const text *t, size_t i) {
    size_t all = 0, end = 0, n;
    while (all <= 15 && (n = digits(t, i)) > 0) {
        all += n;
        end = i += n;
        for (int k = 0; k < 3 && is_any(t->c[i], " -./()"); k++, i++)
            if (is_any(t->c[i], "./") && t->c[i + 1] == ' ') break;
    }
    return all >= 7 && all <= 15 && !split_is_word(t->c[end]) ? end : 0;
}

/* 555-123-4567, 1-800-555-0199, 555-0199: without +, 0 or a bracket in front. */
static size_t local_phone(const text *t, size_t i) {
    if (t->c[i] == '1' && is_any(t->c[i + 1], "- .")) i += 2;
    if (digits(t, i) != 3 || !is_any(t->c[i + 3], "-. ")) return 0;
    const int32_t s = t->c[i + 3];
    if (digits(t, i + 4) == 3 && t->c[i + 7] == s && digits(t, i + 8) == 4) return i + 12;
    return s == '-' && digits(t, i + 4) == 4 && t->c[i + 8] != '-' ? i + 8 : 0;
}

static size_t phone(const text *t, size_t i) {
    const size_t n = digits(t, i + 1);
    if (t->c[i] == '+' && n >= 1) return groups(t, i + 1);
    if (t->c[i] == '(' && n >= 2 && n <= 5 && t->c[i + 1 + n] == ')') return groups(t, i + 1);
    if (t->c[i] == '(' && t->c[i + 1] == '+') return groups(t, i + 2);
    if (t->c[i] == '0' && n >= 1) {
        const size_t end = groups(t, i);
        if (end) return end;
    }
    return local_phone(t, i);
}

/* ---- the rest */

static size_t number(const text *t, size_t i) {
    size_t n = digits(t, i);
    if (n == 0) return 0;
    for (i += n; is_any(t->c[i], ".,:'/") && (n = digits(t, i + 1)) > 0;) i += 1 + n;
    return i;
}

static const struct {
    size_t (*end)(const text *t, size_t i);
    enum split_personal kind;
} forms[] = {
    {email, SPLIT_EMAIL},        {link, SPLIT_LINK}, {iban, SPLIT_ID},
    {social_security, SPLIT_ID}, {ipv4, SPLIT_ID},   {date_in_numbers, SPLIT_DATE},
    {date_in_words, SPLIT_DATE}, {card, SPLIT_ID},   {labelled, SPLIT_ID},
    {phone, SPLIT_PHONE},        {mixed, SPLIT_ID},  {number, SPLIT_NUMBER},
};

size_t split_personal_find(enum split_personal *kind, const text *f, size_t i) {
    if (f->c[i] == ' ' || !split_word_break(f, i)) return 0;
    for (size_t k = 0; k < sizeof forms / sizeof forms[0]; k++) {
        const size_t end = forms[k].end(f, i);
        if (end == 0) continue;
        *kind = forms[k].kind;
        return end;
    }
    return 0;
}
