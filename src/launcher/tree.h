/* tree.h - a program and all that it starts, watched to their end: `mmshim --tree=DIR program`.
 *
 * The launcher stays, as the program's parent. All processes append JSON to files of their own in
 * the folder, whose names begin with the tree's; what is in these counts, whatever statuses were
 * swallowed on the way. Several trees may share a folder, and one may be part of another. */
#ifndef LAUNCHER_TREE_H
#define LAUNCHER_TREE_H

#include <stdbool.h>

#define LAUNCHER_TREE_WAIT 5 /* seconds */

struct launcher_tree {
    const char *folder;
    const char *name; /* NULL: one that no other tree has; else logs of that name are replaced */
    long wait;        /* seconds, for processes that outlive the first */
    bool aborts;      /* with findings it ends by SIGABRT, which no test expects */
    const char *memcheck_log; /* findings go there as valgrind writes them; NULL: nowhere */
};

/* The value of --wait. */
long launcher_tree_seconds(const char *text);

/* Makes the folder and sets the environment for the tree. */
void launcher_tree_begin(struct launcher_tree *tree);

/* Starts a process that becomes the program, and ends as it does; with findings in the tree by
 * MM_EXITCODE. */
_Noreturn void launcher_tree_run(const struct launcher_tree *tree,
                                 void (*become)(const char *path, char **arguments),
                                 const char *path, char **arguments);

/* What ctest asks valgrind for, by its options: where to write to. The rest of the arguments. */
char **launcher_tree_as_valgrind(struct launcher_tree *tree, char **arguments);

#endif
