/* What a symbol table may hold, built once with each kind of hash table. symbols.c looks names up
 * in it. */
int symbols_plain(void);
int symbols_old(void);
int symbols_new(void);
int symbols_chosen(void);
extern int symbols_variable;
extern _Thread_local int symbols_of_thread;

int symbols_plain(void)
{
    return 1;
}

/* Two versions of one name, of which the newer is the default one, and one that has only an old. */
__asm__(".symver symbols_old, symbols_versioned@ONE");
__asm__(".symver symbols_new, symbols_versioned@@TWO");
int symbols_old(void)
{
    return 2;
}

int symbols_new(void)
{
    return 3;
}

int symbols_gone(void);
__asm__(".symver symbols_gone, symbols_hidden@ONE");
int symbols_gone(void)
{
    return 4;
}

static int chosen(void)
{
    return 5;
}

__attribute__((used)) static int (*choose(void))(void)
{
    return chosen;
}
int symbols_chosen(void) __attribute__((ifunc("choose")));

int symbols_variable = 6;
_Thread_local int symbols_of_thread;
