"""reviews.tsv: 600 sentences in the manner of film reviews, label<TAB>text, 0 negative, 1 positive, half of each.

    python3 data/reviews.py > data/reviews.tsv

Put together from the lists below by a generator that is always the same.  They are for showing `thor tune` at work;
they measure nothing.
"""

THINGS = """the film|the movie|this comedy|this drama|the story|the plot|the script|the cast|the dialogue|the ending|
the camera work|the music|the lead actor|the director|the second half|the first hour|every scene|the whole thing|
this thriller|the documentary|the romance|the finale|the acting|the humor""".replace("\n", "").split("|")

GOOD = """wonderful|moving|funny|charming|brilliant|warm|gripping|delightful|honest|beautiful|clever|touching|witty|
superb|tender|thrilling|fresh|graceful|rich|powerful|lovely|smart|memorable|enchanting""".replace("\n", "").split("|")

BAD = """dull|boring|awful|tedious|clumsy|lifeless|stupid|tiresome|flat|messy|pointless|shallow|painful|bland|lazy|
annoying|forgettable|ugly|silly|hollow|stale|dreary|contrived|terrible""".replace("\n", "").split("|")

FRAMES = """{t} is {a} and {b} .|{t} is {a} from beginning to end .|what a {a} , {b} piece of work .|
i found {t} {a} .|{t} turns out {a} , even {b} .|a {a} film with a {b} heart .|rarely was {t} so {a} .|
{t} : {a} , {b} , and never anything else .|it is {a} , and {t} is {b} too .|two hours , {a} and {b} .|
friends told me that {t} was {a} , and they were right .|{t} feels {a} throughout .|
by the end {t} had become {a} and {b} .|so {a} that i {v} .|{t} could hardly be more {a} .|
{t} , {a} as it is , made me {w} .""".replace("\n", "").split("|")

DID = {1: ["saw it twice", "smiled all evening", "forgot the time"], 0: ["left early", "fell asleep", "wanted my money back"]}
MADE = {1: ["laugh", "smile", "happy"], 0: ["yawn", "sigh", "angry"]}

state = 1


def pick(items):
    global state
    state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
    return items[(state >> 33) % len(items)]


seen, rows = set(), []
while len(rows) < 600:
    label = len(rows) % 2
    words = GOOD if label else BAD
    a, b = pick(words), pick(words)
    text = pick(FRAMES).format(t=pick(THINGS), a=a, b=b, v=pick(DID[label]), w=pick(MADE[label]))
    if a != b and text not in seen:
        seen.add(text)
        rows.append((label, text))
print("label\ttext")
for label, text in rows:
    print(f"{label}\t{text}")
