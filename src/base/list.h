/* An intrusive doubly linked list. The node lies inside the owner:
 *     for (list_node *n = l.head.next; n != &l.head; n = n->next) thing *t = LIST_OWNER(n, thing, node); */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

typedef struct list_node {
    struct list_node *next, *prev;
} list_node;

typedef struct list {
    list_node head;
} list;

#define LIST_OWNER(node, type, member) ((type *)((char *)(node)-offsetof(type, member)))

static inline void list_init(list *l)
{
    l->head.next = l->head.prev = &l->head;
}

static inline bool list_empty(const list *l)
{
    return l->head.next == &l->head;
}

static inline bool list_linked(const list_node *n)
{
    return n->next != NULL;
}

static inline void list_push(list *l, list_node *n)
{
    n->prev = l->head.prev;
    n->next = &l->head;
    l->head.prev->next = n;
    l->head.prev = n;
}

static inline void list_remove(list_node *n)
{
    if (!n->next)
        return;
    n->prev->next = n->next;
    n->next->prev = n->prev;
    n->next = n->prev = NULL;
}

static inline list_node *list_pop(list *l)
{
    list_node *n = l->head.next;
    if (n == &l->head)
        return NULL;
    list_remove(n);
    return n;
}

#endif
