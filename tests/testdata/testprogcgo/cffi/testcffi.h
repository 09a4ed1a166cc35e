extern "Python" int from_c(int);
int call_from_c_thread(int arg);
