#include <thread>

static struct plugin {
    int value = 0;
    plugin()
    {
        std::thread thread([this] { value = 1; });
        thread.join();
    }
} plugin;
