// The objects that `new` has made, and the report of those that nobody deleted.
#include "mql5.hpp"
#include <cxxabi.h>

typedef std::map<const void *, Block_ *> Living;

// Made before every variable of the program and never destroyed: a destructor may delete.
static Living &living() {
    static Living *all = new Living;
    return *all;
}

Block_ *born_(Block_ block) {
    Block_ *kept = new Block_(block);
    living()[block.object] = kept;
    return kept;
}

void deleted_(Block_ *block) {
    block->alive = false;
    living().erase(block->object);
    block->destroy(block->object);
}

Block_ *block_of_(const void *at) {
    auto next = living().upper_bound(at);
    if (next == living().begin())
        return nullptr;
    Block_ *block = std::prev(next)->second;
    return (const char *)at < (const char *)block->object + block->size ? block : nullptr;
}

static std::string readable(const char *type) {
    int status = 0;
    char *text = abi::__cxa_demangle(type, nullptr, nullptr, &status);
    std::string found = status ? type : text;
    free(text);
    return found;
}

// Runs after the destructors of the program's own variables, which are made later.
namespace {
struct Leaks {
    ~Leaks() {
        std::map<std::string, int> count;
        for (auto &[object, block] : living())
            count[readable(block->type)]++;
        for (auto &[type, objects] : count)
            printf("leak %d %s\n", objects, type.c_str());
        fflush(stdout);
    }
};
} // namespace

__attribute__((init_priority(200))) static Leaks leaks;
