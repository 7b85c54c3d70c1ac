public class Main {
    public static void main(String[] arguments) {
        System.out.println("hello world from " + System.getProperty("os.arch"));
    }
}
