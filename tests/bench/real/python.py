# What Python programs do all day: dicts, lists, strings, objects, JSON. Run with
# PYTHONMALLOC=malloc, so that each object is a malloc() of its own. Argument: rounds.
import json
import re
import sys


class Node:
    def __init__(self, left, right):
        self.left = left
        self.right = right


def tree(depth):
    return Node(tree(depth - 1), tree(depth - 1)) if depth else None


for number in range(int(sys.argv[1])):
    table = {f"key {i}": [i, str(i), {"text": "x" * (i % 50)}] for i in range(2000)}
    text = json.dumps(table)
    assert json.loads(text) == table
    words = {}
    for word in re.findall(r"\w+", text):
        words.setdefault(word, []).append(number)
    assert len(words) > 2000
    tree(10)
    lines = [",".join(str(i * k) for k in range(10)) for i in range(200)]
    assert sum(int(field) for line in lines for field in line.split(",")) == 895500
