# Writes a C file of `functions` functions that differ, with loops, switches and calls, to be compiled
# at -O2: a compiler's work is trees, lists and tables of all sizes, most of which die together.
BEGIN {
    print "struct item { struct item *next; int key; double weight; char name[16]; };"
    for (i = 0; i < functions; i++) {
        print "static int mix_" i "(int a, int b) { return (a ^ b << " i % 7 ") * " i + 3 "; }"
        print "double work_" i "(struct item *list, const int *in, int n)"
        print "{"
        print "    double sum = 0;"
        print "    int state = " i ";"
        print "    for (struct item *at = list; at; at = at->next) {"
        print "        switch (at->key % " 5 + i % 9 ") {"
        for (c = 0; c < 5 + i % 9; c++)
            print "        case " c ": sum += at->weight * " c + i % 3 "; state += in[" c "]; break;"
        print "        }"
        print "        for (int k = 0; k < 16; k++)"
        print "            at->name[k] = (char)mix_" i "(at->name[k], state + k);"
        print "    }"
        print "    for (int j = 0; j + " i % 4 + 1 " < n; j++)"
        print "        state = state * in[j] + mix_" i "(in[j + " i % 4 + 1 "], j);"
        if (i > 0)
            print "    sum += n > 0 ? work_" i - 1 "(list, in, n - 1) : 0;"
        print "    return sum + state;"
        print "}"
    }
}
